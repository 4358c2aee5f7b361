"""The columns that a unit of the code writes with, whatever the decoder."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.capabilities import CodeWeights, code_weights
from isthmus.protocols import Model


def code_weights_of(model: Model) -> tuple[CodeWeights, ...]:
    """Every matrix of a model that the code is multiplied by first.

    Raises:
        SettingError: a decoder without ``code_weights``, see ``isthmus.capabilities``.
    """
    return code_weights(model.decoder, model.readout)


def columns(model: Model) -> Float[Tensor, "outputs code"]:
    """The matrices that read the code, one below the other, with their gradient.

    Raises:
        SettingError: as ``code_weights_of``.
    """
    found = [layer.weight[:, layer.columns] for layer in code_weights_of(model)]
    return found[0] if len(found) == 1 else torch.cat(found)


def unit_columns(model: Model) -> None:
    """Divide every column by its length, in place; a column of zeros stays. The activation of
    a unit alone then sets how much it contributes.

    Raises:
        SettingError: as ``code_weights_of``.
    """
    with torch.no_grad():
        lengths = columns(model).norm(dim=0)
        lengths = torch.where(lengths > 0, lengths, 1.0)
        for layer in code_weights_of(model):
            layer.weight[:, layer.columns] /= lengths
