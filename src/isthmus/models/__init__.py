"""Builders: published models as settings of the shared parts."""

from isthmus.models.blend import blend
from isthmus.models.linear import ease, edlae, rdlae
from isthmus.models.multinomial import mult_dae, mult_vae
from isthmus.models.recvae import rec_vae
from isthmus.models.sequence import sequence_vae
from isthmus.models.sparse import sparse_linear
from isthmus.models.tied import elsa

__all__ = [
    "blend",
    "ease",
    "edlae",
    "elsa",
    "mult_dae",
    "mult_vae",
    "rdlae",
    "rec_vae",
    "sequence_vae",
    "sparse_linear",
]
