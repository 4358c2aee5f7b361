"""Builders: published models as settings of the shared parts."""

from isthmus.models.blend import blend
from isthmus.models.elsa import elsa
from isthmus.models.linear import ease, edlae, rdlae
from isthmus.models.mult_vae import mult_dae, mult_vae
from isthmus.models.rec_vae import rec_vae
from isthmus.models.sequence_vae import sequence_vae
from isthmus.models.sparse_linear import sparse_linear

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
