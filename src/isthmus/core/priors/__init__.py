"""What codes are expected to look like: a normal, a mixture that trains, a mixture fitted afterwards."""

from isthmus.core.priors.normal import NoPrior, StandardNormal, estimated_rate

__all__ = ["NoPrior", "StandardNormal", "estimated_rate"]
