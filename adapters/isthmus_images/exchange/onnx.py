"""The encoder of images as an ONNX graph."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isthmus import onnx, plugins
from isthmus.batch import Values
from isthmus.core.autoencoder import Autoencoder
from isthmus.fitted import FittedAutoencoder
from isthmus_images.adapter import ImageAdapter


def export(fitted: FittedAutoencoder[ImageAdapter], folder: str | Path) -> Path:
    """What ``ImageAutoencoder.to_onnx`` does, which describes the inputs.

    Args:
        fitted: the model with its adapter.
        folder: a new folder.

    Returns:
        The folder.

    Raises:
        InputError: a model without codes, or the folder exists.
        SettingError: PyTorch cannot export the encoder.
        MissingLibraryError: the extra ``onnx`` is not installed.
    """
    fitted.check_codes()
    form = fitted.adapter.signal
    chance = torch.Generator().manual_seed(0)
    trials = [torch.rand(rows, form.channels, form.height, form.width, generator=chance) for rows in (3, 1, 5)]
    graph = onnx.Graph(
        _Codes(copy.deepcopy(fitted.model)),
        [{"images": trial} for trial in trials],
        {"images": {0: "rows"}},
        ("codes",),
        {"model": plugins.command_name(fitted.builder)},
        {"rows": 2},
    )
    return onnx.write_new(graph, folder)


class _Codes(nn.Module):
    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Float[Tensor, "rows channels height width"]) -> Float[Tensor, "rows code"]:
        return self.model.encode(Values(images)).point.flatten(1)
