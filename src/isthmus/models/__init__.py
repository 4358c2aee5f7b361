"""Builders: published models as combinations of shared parts, and the components of their recipes."""

from isthmus.models.blend import BlendRecipe, blend
from isthmus.models.denoisers.dncnn import residual_denoiser
from isthmus.models.denoisers.unet_denoiser import unet_denoiser
from isthmus.models.elsa import elsa
from isthmus.models.kinds import contractive, denoising, sparse, vanilla, variational
from isthmus.models.linear import ClosedFormRecipe, ease, edlae, rdlae
from isthmus.models.low_pass import LowPassRecipe, low_pass
from isthmus.models.matryoshka import MatryoshkaRecipe, matryoshka
from isthmus.models.mult_vae import mult_dae, mult_vae
from isthmus.models.parts.backbones import Backbone, backbone
from isthmus.models.parts.keywords import SharedKeywords
from isthmus.models.rec_vae import rec_vae
from isthmus.models.recipes.description import Description, Setting, describe
from isthmus.models.recipes.rebuild import rebuild
from isthmus.models.recipes.recent import recent
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.models.recipes.settings import keywords_of
from isthmus.models.sequence_autoencoder import sequence_autoencoder
from isthmus.models.sequence_linear import SequenceLinearRecipe, sequence_linear
from isthmus.models.sequence_recommender import sequence_recommender
from isthmus.models.sequence_vae import sequence_vae
from isthmus.models.sparse_linear import ColumnwiseRecipe, sparse_linear

__all__ = [
    "Backbone",
    "BlendRecipe",
    "ClosedFormRecipe",
    "ColumnwiseRecipe",
    "Description",
    "GradientRecipe",
    "LowPassRecipe",
    "MatryoshkaRecipe",
    "SequenceLinearRecipe",
    "Setting",
    "SharedKeywords",
    "backbone",
    "blend",
    "contractive",
    "denoising",
    "describe",
    "ease",
    "edlae",
    "elsa",
    "keywords_of",
    "low_pass",
    "matryoshka",
    "mult_dae",
    "mult_vae",
    "rdlae",
    "rebuild",
    "rec_vae",
    "recent",
    "residual_denoiser",
    "sequence_autoencoder",
    "sequence_linear",
    "sequence_recommender",
    "sequence_vae",
    "sparse",
    "sparse_linear",
    "unet_denoiser",
    "vanilla",
    "variational",
]
