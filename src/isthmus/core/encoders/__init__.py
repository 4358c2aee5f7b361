"""Encoders: ``enter`` to the first differentiable state, ``trunk`` from there to the hidden state."""

from isthmus.core.encoders.bag import BagEncoder
from isthmus.core.encoders.connected import ConnectedEncoder
from isthmus.core.encoders.dense import DenseEncoder

__all__ = ["BagEncoder", "ConnectedEncoder", "DenseEncoder"]
