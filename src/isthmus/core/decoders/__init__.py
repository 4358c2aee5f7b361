"""Decoders, which map samples of the code to the input of the readout."""

from isthmus.core.decoders.convolutional import ConvDecoder
from isthmus.core.decoders.dense import DenseDecoder
from isthmus.core.decoders.lstm import LstmDecoder
from isthmus.core.decoders.memory import MemoryDecoder
from isthmus.core.decoders.superposed import SuperposedDecoder
from isthmus.core.decoders.transformer import TransformerDecoder

__all__ = ["ConvDecoder", "DenseDecoder", "LstmDecoder", "MemoryDecoder", "SuperposedDecoder", "TransformerDecoder"]
