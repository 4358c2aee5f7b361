"""Noise on the inputs, in training only: of numbers and of tokens."""

from isthmus.core.corruptions.numbers import Dropout, GaussianNoise, Masking, PatchMasking, SaltAndPepper, SwapNoise

__all__ = ["Dropout", "GaussianNoise", "Masking", "PatchMasking", "SaltAndPepper", "SwapNoise"]
