"""Builders: published models as settings of the shared parts."""

from isthmus.models.linear import ease
from isthmus.models.multinomial import mult_dae, mult_vae

__all__ = ["ease", "mult_dae", "mult_vae"]
