"""Domain-independent parts of autoencoders: encoders, bottlenecks, decoders, readouts, likelihoods, priors.

Every part can be imported from here; its module is imported on first access.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isthmus.core.autoencoder import Autoencoder, Loss
    from isthmus.core.bottlenecks.deterministic import Deterministic, Projected
    from isthmus.core.bottlenecks.gaussian import BatchNormGaussian, DiagonalGaussian, Gaussian
    from isthmus.core.bottlenecks.noisy import Noisy
    from isthmus.core.bottlenecks.residual_quantised import ResidualQuantizer
    from isthmus.core.bottlenecks.sparse import BatchTopK, JumpReLU, SparseUnits, TopK
    from isthmus.core.bottlenecks.vector_quantised import VectorQuantised
    from isthmus.core.corruptions.numbers import Dropout, GaussianNoise, Masking, PatchMasking, SaltAndPepper, SwapNoise
    from isthmus.core.corruptions.tokens import TokenDeletion, WordDropout
    from isthmus.core.decoders.convolutional import ConvDecoder
    from isthmus.core.decoders.dense import DenseDecoder
    from isthmus.core.decoders.lstm import LstmDecoder
    from isthmus.core.decoders.memory import MemoryDecoder
    from isthmus.core.decoders.superposed import SuperposedDecoder
    from isthmus.core.decoders.transformer import TransformerDecoder
    from isthmus.core.encoders.bag import BagEncoder
    from isthmus.core.encoders.causal import CausalEncoder
    from isthmus.core.encoders.convolutional import ConvEncoder
    from isthmus.core.encoders.dense import DenseEncoder
    from isthmus.core.encoders.lstm import LstmEncoder
    from isthmus.core.encoders.pretrained import KnownVectors, PretrainedEncoder
    from isthmus.core.encoders.superposed import SuperposedEncoder
    from isthmus.core.encoders.transformer import TransformerEncoder
    from isthmus.core.likelihoods.continuous import Gaussian as GaussianLikelihood
    from isthmus.core.likelihoods.continuous import Laplace, LearnedGaussian, LearnedLaplace, OptimalGaussian
    from isthmus.core.likelihoods.discrete import Bernoulli, Categorical, Multinomial
    from isthmus.core.likelihoods.sampled_categorical import SampledCategorical
    from isthmus.core.likelihoods.sampled_multinomial import SampledMultinomial
    from isthmus.core.likelihoods.unit_interval import ContinuousBernoulli, DiscretisedLogisticMixture
    from isthmus.core.linear.dense import LinearAutoencoder
    from isthmus.core.linear.sparse import SparseLinear
    from isthmus.core.objectives.elbo import Capacity, Elbo, ImportanceWeighted
    from isthmus.core.objectives.posterior_collapse import (
        AggressiveEncoderTraining,
        FreeBits,
        ReconstructionOnly,
        ReinitialiseDecoder,
    )
    from isthmus.core.objectives.schedules import (
        Constant,
        CyclicalAnnealing,
        DelayedSchedule,
        HistoryLengthWeight,
        LinearAnnealing,
    )
    from isthmus.core.penalties.commitment import Commitment
    from isthmus.core.penalties.dead_units import AuxiliaryLoss
    from isthmus.core.penalties.jacobian import Contractive, jacobian_norms
    from isthmus.core.penalties.sparsity import L0, L1, KlSparsity, tied_start, unit_norm_decoder
    from isthmus.core.priors.fitted_mixture import FittedMixture
    from isthmus.core.priors.mixture import MixturePrior, VampPrior
    from isthmus.core.priors.normal import NoPrior, StandardNormal
    from isthmus.core.rankers import AutoencoderRanker, Blend, ranker_of
    from isthmus.core.readouts import GridReadout, LinearReadout

__all__ = [
    "L0",
    "L1",
    "AggressiveEncoderTraining",
    "Autoencoder",
    "AutoencoderRanker",
    "AuxiliaryLoss",
    "BagEncoder",
    "BatchNormGaussian",
    "BatchTopK",
    "Bernoulli",
    "Blend",
    "Capacity",
    "Categorical",
    "CausalEncoder",
    "Commitment",
    "Constant",
    "ContinuousBernoulli",
    "Contractive",
    "ConvDecoder",
    "ConvEncoder",
    "CyclicalAnnealing",
    "DelayedSchedule",
    "DenseDecoder",
    "DenseEncoder",
    "Deterministic",
    "DiagonalGaussian",
    "DiscretisedLogisticMixture",
    "Dropout",
    "Elbo",
    "FittedMixture",
    "FreeBits",
    "Gaussian",
    "GaussianLikelihood",
    "GaussianNoise",
    "GridReadout",
    "HistoryLengthWeight",
    "ImportanceWeighted",
    "JumpReLU",
    "KlSparsity",
    "KnownVectors",
    "Laplace",
    "LearnedGaussian",
    "LearnedLaplace",
    "LinearAnnealing",
    "LinearAutoencoder",
    "LinearReadout",
    "Loss",
    "LstmDecoder",
    "LstmEncoder",
    "Masking",
    "MemoryDecoder",
    "MixturePrior",
    "Multinomial",
    "NoPrior",
    "Noisy",
    "OptimalGaussian",
    "PatchMasking",
    "PretrainedEncoder",
    "Projected",
    "ReconstructionOnly",
    "ReinitialiseDecoder",
    "ResidualQuantizer",
    "SaltAndPepper",
    "SampledCategorical",
    "SampledMultinomial",
    "SparseLinear",
    "SparseUnits",
    "StandardNormal",
    "SuperposedDecoder",
    "SuperposedEncoder",
    "SwapNoise",
    "TokenDeletion",
    "TopK",
    "TransformerDecoder",
    "TransformerEncoder",
    "VampPrior",
    "VectorQuantised",
    "WordDropout",
    "jacobian_norms",
    "ranker_of",
    "tied_start",
    "unit_norm_decoder",
]

_MODULES = {
    "autoencoder": (
        "Autoencoder",
        "Loss",
    ),
    "bottlenecks.deterministic": (
        "Deterministic",
        "Projected",
    ),
    "bottlenecks.gaussian": (
        "BatchNormGaussian",
        "DiagonalGaussian",
        "Gaussian",
    ),
    "bottlenecks.noisy": ("Noisy",),
    "bottlenecks.residual_quantised": ("ResidualQuantizer",),
    "bottlenecks.sparse": (
        "BatchTopK",
        "JumpReLU",
        "SparseUnits",
        "TopK",
    ),
    "bottlenecks.vector_quantised": ("VectorQuantised",),
    "corruptions.numbers": (
        "Dropout",
        "GaussianNoise",
        "Masking",
        "PatchMasking",
        "SaltAndPepper",
        "SwapNoise",
    ),
    "corruptions.tokens": (
        "TokenDeletion",
        "WordDropout",
    ),
    "decoders.convolutional": ("ConvDecoder",),
    "decoders.dense": ("DenseDecoder",),
    "decoders.lstm": ("LstmDecoder",),
    "decoders.memory": ("MemoryDecoder",),
    "decoders.superposed": ("SuperposedDecoder",),
    "decoders.transformer": ("TransformerDecoder",),
    "encoders.bag": ("BagEncoder",),
    "encoders.causal": ("CausalEncoder",),
    "encoders.convolutional": ("ConvEncoder",),
    "encoders.dense": ("DenseEncoder",),
    "encoders.lstm": ("LstmEncoder",),
    "encoders.pretrained": (
        "KnownVectors",
        "PretrainedEncoder",
    ),
    "encoders.superposed": ("SuperposedEncoder",),
    "encoders.transformer": ("TransformerEncoder",),
    "likelihoods.continuous": (
        "GaussianLikelihood",
        "Laplace",
        "LearnedGaussian",
        "LearnedLaplace",
        "OptimalGaussian",
    ),
    "likelihoods.discrete": (
        "Bernoulli",
        "Categorical",
        "Multinomial",
    ),
    "likelihoods.sampled_categorical": ("SampledCategorical",),
    "likelihoods.sampled_multinomial": ("SampledMultinomial",),
    "likelihoods.unit_interval": (
        "ContinuousBernoulli",
        "DiscretisedLogisticMixture",
    ),
    "linear.dense": ("LinearAutoencoder",),
    "linear.sparse": ("SparseLinear",),
    "objectives.elbo": (
        "Capacity",
        "Elbo",
        "ImportanceWeighted",
    ),
    "objectives.posterior_collapse": (
        "AggressiveEncoderTraining",
        "FreeBits",
        "ReconstructionOnly",
        "ReinitialiseDecoder",
    ),
    "objectives.schedules": (
        "Constant",
        "CyclicalAnnealing",
        "DelayedSchedule",
        "HistoryLengthWeight",
        "LinearAnnealing",
    ),
    "penalties.commitment": ("Commitment",),
    "penalties.dead_units": ("AuxiliaryLoss",),
    "penalties.jacobian": (
        "Contractive",
        "jacobian_norms",
    ),
    "penalties.sparsity": (
        "L0",
        "L1",
        "KlSparsity",
        "tied_start",
        "unit_norm_decoder",
    ),
    "priors.fitted_mixture": ("FittedMixture",),
    "priors.mixture": (
        "MixturePrior",
        "VampPrior",
    ),
    "priors.normal": (
        "NoPrior",
        "StandardNormal",
    ),
    "rankers": (
        "AutoencoderRanker",
        "Blend",
        "ranker_of",
    ),
    "readouts": (
        "GridReadout",
        "LinearReadout",
    ),
}
"""The modules of the names; ``GaussianLikelihood`` is called ``Gaussian`` in its module."""


def __getattr__(name: str) -> object:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name.removesuffix("Likelihood"))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
