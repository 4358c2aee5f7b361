"""What the entry point yields keeps the contracts that anybody's plugin keeps."""

from __future__ import annotations

from pictured import SMALL, bars

import isthmus_images
from isthmus import plugins
from isthmus.testing.plugin import PluginContract
from isthmus.training.run import Run
from isthmus_images import ImageAutoencoder
from isthmus_images.plugin import plugin

OWN = {"sparse": {"k": 2}}


class TestImagePlugin(PluginContract):
    plugin = plugin


def test_the_package_exports_what_it_names() -> None:
    assert [name for name in isthmus_images.__all__ if not hasattr(isthmus_images, name)] == []
    assert not hasattr(isthmus_images, "Recommender")


def test_it_is_what_the_entry_point_yields() -> None:
    assert plugins.load("images") is plugin


def test_each_kind_trains_and_codes(tmp_path) -> None:
    for name in sorted(set(plugin.builders) - {"residual_denoiser", "unet_denoiser"}):
        model = ImageAutoencoder.fit(bars(60), name, epochs=1, run=Run(device="cpu"), **SMALL, **OWN.get(name, {}))
        codes = model.encode(bars(3))
        assert codes.shape == (3, 4), name
        assert model.decode(codes).shape == (3, 12, 12), name
        model.save(tmp_path / name)
        assert (ImageAutoencoder.load(tmp_path / name).encode(bars(3)) == codes).all(), name
