"""Decoders: from samples of the code to whatever the readout reads."""

from isthmus.core.decoders.attention import TransformerDecoder
from isthmus.core.decoders.convolutional import ConvDecoder
from isthmus.core.decoders.dense import DenseDecoder
from isthmus.core.decoders.memory import MemoryDecoder
from isthmus.core.decoders.recurrent import LstmDecoder

__all__ = ["ConvDecoder", "DenseDecoder", "LstmDecoder", "MemoryDecoder", "TransformerDecoder"]
