"""Which weights read the code: the columns that a unit of the code writes with, whatever the decoder."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.core.autoencoder import Autoencoder
from isthmus.core.decoders.convolutional import ConvDecoder
from isthmus.core.decoders.dense import DenseDecoder
from isthmus.core.decoders.lstm import LstmDecoder
from isthmus.core.decoders.memory import MemoryDecoder
from isthmus.core.decoders.skipping import SkipConnectionDecoder
from isthmus.core.decoders.transformer import TransformerDecoder
from isthmus.errors import SettingError


@dataclass(frozen=True)
class CodeWeights:
    """A matrix [outputs, inputs] of the model, some of whose columns belong to the code.

    Attributes:
        name: of the parameter in the model.
        start, stop: its columns of the code are those from ``start`` up to ``stop``, or to the last one.
    """

    name: str
    start: int = 0
    stop: int | None = None

    @property
    def columns(self) -> slice:
        """Those of the code."""
        return slice(self.start, self.stop)


def reading_layers(model: Autoencoder) -> tuple[CodeWeights, ...]:
    """Every matrix that the code is multiplied by first. For a decoder without layers that is the readout's.

    Raises:
        SettingError: a decoder that is none of ``isthmus.core.decoders``.
    """
    decoder = model.decoder
    if isinstance(decoder, DenseDecoder):
        return (CodeWeights("decoder.mlp.layers.0.weight" if len(decoder.mlp.layers) else "readout.weight"),)
    if isinstance(decoder, SkipConnectionDecoder):
        (layer,) = decoder.mlp.layers
        assert isinstance(layer, nn.Linear)
        return (CodeWeights("decoder.mlp.layers.0.weight"), CodeWeights("readout.weight", 0, layer.in_features))
    if isinstance(decoder, ConvDecoder):
        return (CodeWeights("decoder.first.weight"),)
    if isinstance(decoder, LstmDecoder):
        words = decoder.lstm.input_size - decoder.first_cell.shape[1]
        return (CodeWeights("decoder.first_cell"), CodeWeights("decoder.lstm.weight_ih_l0", words))
    if isinstance(decoder, TransformerDecoder | MemoryDecoder):
        pushes = tuple(CodeWeights(f"decoder.pushes.{layer}.weight") for layer in range(len(decoder.pushes)))
        return (CodeWeights("decoder.unfold.weight"), *pushes) if isinstance(decoder, MemoryDecoder) else pushes
    raise SettingError(f"the columns of {type(decoder).__name__}", expected="a decoder of isthmus.core.decoders")


def columns(model: Autoencoder) -> Float[Tensor, "outputs code"]:
    """The matrices that read the code, one below the other, with their gradient."""
    found = [model.get_parameter(layer.name)[:, layer.columns] for layer in reading_layers(model)]
    return found[0] if len(found) == 1 else torch.cat(found)


def unit_columns(model: Autoencoder) -> None:
    """Every column comes to length 1, in place; a column of zeros stays. What a unit writes is then told by its
    activation alone."""
    with torch.no_grad():
        lengths = columns(model).norm(dim=0)
        lengths = torch.where(lengths > 0, lengths, 1.0)
        for layer in reading_layers(model):
            model.get_parameter(layer.name)[:, layer.columns] /= lengths
