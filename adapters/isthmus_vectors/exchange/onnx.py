"""The encoder of rows of numbers as an ONNX graph, scaling included."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from isthmus import onnx, plugins
from isthmus.batch import Values
from isthmus.core.autoencoder import Autoencoder
from isthmus.fitted import FittedAutoencoder
from isthmus.onnx.bags import AXES, LEAST, padded, some_bags
from isthmus_vectors.adapter import VectorAdapter
from isthmus_vectors.scaling import LIMIT, Scaling


def export(fitted: FittedAutoencoder[VectorAdapter], folder: str | Path) -> Path:
    """What ``VectorAutoencoder.to_onnx`` does, which describes the inputs.

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
    inner, scaling = copy.deepcopy(fitted.model), fitted.adapter.scaling
    about = {"model": plugins.command_name(fitted.builder)}
    if fitted.adapter.is_sparse:
        trials = [some_bags(scaling.width, rows) for rows in (3, 1, 8)]
        graph = onnx.Graph(_SparseCodes(inner, scaling), trials, AXES, ("codes",), about, LEAST)
    else:
        chance = torch.Generator().manual_seed(0)
        spread, centre = torch.from_numpy(scaling.scale), torch.from_numpy(scaling.centre)
        drawn = [torch.randn(rows, scaling.width, generator=chance).double() * 3 for rows in (3, 1, 5)]
        dense = [{"rows": one * spread + centre} for one in drawn]
        graph = onnx.Graph(_Codes(inner, scaling), dense, {"rows": {0: "rows"}}, ("codes",), about, {"rows": 2})
    return onnx.write_new(graph, folder)


class _Scaled(nn.Module):
    """The scaling of columns, in fp64, as ``Scaling`` does it."""

    centre: Tensor
    scale: Tensor

    def __init__(self, model: Autoencoder, scaling: Scaling) -> None:
        super().__init__()
        self.model, self.robust = model, scaling.method != "none"
        self.register_buffer("centre", torch.from_numpy(scaling.centre))
        self.register_buffer("scale", torch.from_numpy(scaling.scale))

    def compressed(self, z: Float[Tensor, ...]) -> Float[Tensor, ...]:
        """Extreme values are compressed, unless nothing is scaled at all; float32."""
        beyond = (z.abs() - LIMIT).clamp(min=0)
        scaled = torch.where(beyond > 0, z.sign() * (LIMIT + torch.log1p(beyond)), z) if self.robust else z
        return scaled.float()


class _Codes(_Scaled):
    def forward(self, rows: Float[Tensor, "rows width"]) -> Float[Tensor, "rows code"]:
        scaled = self.compressed((rows - self.centre) / self.scale)
        return self.model.encode(Values(scaled)).point.flatten(1)


class _SparseCodes(_Scaled):
    def forward(
        self, items: Int64[Tensor, " entries"], offsets: Int64[Tensor, " ends"], weights: Float[Tensor, " entries"]
    ) -> Float[Tensor, "rows code"]:
        scaled = self.compressed(weights.double() / self.scale[items])
        return self.model.encode(padded(items, offsets, scaled)).point.flatten(1)[:-1]
