"""What the entry point yields keeps the contracts that anybody's plugin keeps."""

from __future__ import annotations

import pytest
from pictured import SMALL, bars

from isthmus import plugins
from isthmus.testing.plugin import PluginContract
from isthmus.training.run import Run
from isthmus_images import ImageAutoencoder
from isthmus_images.plugin import plugin

OWN = {"sparse": {"k": 2}}


class TestImagePlugin(PluginContract):
    plugin = plugin


def test_it_is_what_the_entry_point_yields() -> None:
    assert plugins.load("images") is plugin


@pytest.mark.parametrize("name", ["contractive", "denoising", "sparse", "vanilla", "variational"])
def test_each_kind_trains_and_codes(name: str, tmp_path) -> None:
    model = ImageAutoencoder.fit(bars(60), name, epochs=1, run=Run(device="cpu"), **SMALL, **OWN.get(name, {}))
    codes = model.encode(bars(3))
    assert codes.shape == (3, 4)
    assert model.decode(codes).shape == (3, 12, 12)
    model.save(tmp_path / "m")
    assert (ImageAutoencoder.load(tmp_path / "m").encode(bars(3)) == codes).all()
