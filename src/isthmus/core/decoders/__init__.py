"""Decoders: from samples of the code to whatever the readout reads."""

from isthmus.core.decoders.dense import DenseDecoder

__all__ = ["DenseDecoder"]
