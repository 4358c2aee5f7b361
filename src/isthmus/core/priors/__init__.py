"""Priors of the codes: standard normal, trainable mixtures, and mixtures fitted after training."""

from isthmus.core.priors.normal import NoPrior, StandardNormal, estimated_rate

__all__ = ["NoPrior", "StandardNormal", "estimated_rate"]
