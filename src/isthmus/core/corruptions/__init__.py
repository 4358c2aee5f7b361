"""Corruptions: noise on numeric inputs and on tokens, in training only."""

from isthmus.core.corruptions.numbers import Dropout, GaussianNoise, Masking, PatchMasking, SaltAndPepper, SwapNoise

__all__ = ["Dropout", "GaussianNoise", "Masking", "PatchMasking", "SaltAndPepper", "SwapNoise"]
