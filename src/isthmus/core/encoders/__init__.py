"""Encoders: ``enter`` to the first differentiable state, ``trunk`` from there to the hidden state."""

from isthmus.core.encoders.bag import BagEncoder
from isthmus.core.encoders.causal import CausalEncoder
from isthmus.core.encoders.convolutional import ConvEncoder
from isthmus.core.encoders.dense import DenseEncoder
from isthmus.core.encoders.lstm import LstmEncoder
from isthmus.core.encoders.pretrained import KnownVectors, PretrainedEncoder
from isthmus.core.encoders.superposed import SuperposedEncoder
from isthmus.core.encoders.transformer import TransformerEncoder

__all__ = [
    "BagEncoder",
    "CausalEncoder",
    "ConvEncoder",
    "DenseEncoder",
    "KnownVectors",
    "LstmEncoder",
    "PretrainedEncoder",
    "SuperposedEncoder",
    "TransformerEncoder",
]
