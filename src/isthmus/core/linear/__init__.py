"""Linear autoencoders in closed form: dense, sparse, and columnwise."""

from isthmus.core.linear.dense import Gram, Inverse, LinearAutoencoder, inverse

__all__ = ["Gram", "Inverse", "LinearAutoencoder", "inverse"]
