"""Builders: published models as settings of the shared parts."""

from isthmus.models.linear import ease, edlae, rdlae
from isthmus.models.multinomial import mult_dae, mult_vae
from isthmus.models.recvae import rec_vae

__all__ = ["ease", "edlae", "mult_dae", "mult_vae", "rdlae", "rec_vae"]
