"""The decoder weights that multiply the code, for any decoder."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.capabilities import CodeWeights, code_weights
from isthmus.protocols import Model


def code_weights_of(model: Model) -> tuple[CodeWeights, ...]:
    """All matrices of a model that multiply the code directly.

    Raises:
        SettingError: a decoder without ``code_weights``, see ``isthmus.capabilities``.
    """
    return code_weights(model.decoder, model.readout)


def columns(model: Model) -> Float[Tensor, "outputs code"]:
    """The matrices that multiply the code, stacked vertically, with their gradient.

    Raises:
        SettingError: as ``code_weights_of``.
    """
    found = [layer.weight[:, layer.columns] for layer in code_weights_of(model)]
    return found[0] if len(found) == 1 else torch.cat(found)


def unit_columns(model: Model) -> None:
    """Divide every column by its norm, in place; zero columns are unchanged. The contribution of a unit is then given
    by its activation alone.

    Raises:
        SettingError: as ``code_weights_of``.
    """
    with torch.no_grad():
        lengths = columns(model).norm(dim=0)
        lengths = torch.where(lengths > 0, lengths, 1.0)
        for layer in code_weights_of(model):
            layer.weight[:, layer.columns] /= lengths
