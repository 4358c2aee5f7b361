"""The five kinds of autoencoders, each for bags, vectors, images and tokens: encoder, decoder and likelihood come from
``isthmus.models.parts.backbones``, and a kind adds the part between them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Unpack

from torch import Generator

from isthmus.batch import Bag, Grid, Signal, Tokens, Vector
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.deterministic import Projected
from isthmus.core.bottlenecks.gaussian import BatchNormGaussian, Gaussian
from isthmus.core.bottlenecks.sparse import BatchTopK, JumpReLU, SparseUnits, TopK
from isthmus.core.objectives.elbo import Elbo, ImportanceWeighted
from isthmus.core.objectives.posterior_collapse import FreeBits
from isthmus.core.objectives.schedules import LinearAnnealing
from isthmus.core.penalties.code_weights import unit_columns
from isthmus.core.penalties.dead_units import AuxiliaryLoss
from isthmus.core.penalties.jacobian import Contractive
from isthmus.core.penalties.sparsity import L0, L1, KlSparsity, tied_start, unit_norm_decoder
from isthmus.errors import SettingError
from isthmus.models.parts.backbones import backbone
from isthmus.models.parts.corruptions import corruption_of
from isthmus.models.parts.keywords import SharedKeywords
from isthmus.models.parts.priors import prior_of
from isthmus.models.recipes.checks import check_choice, check_settings
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.protocols import Bottleneck, Hook, Objective, Penalty, Source
from isthmus.training.calibration import calibrate

__all__ = ["contractive", "denoising", "sparse", "vanilla", "variational"]

SPREAD = 0.6
"""Standard deviation of the posterior means of tokens, whose codes would otherwise collapse."""


def vanilla(
    signal: Signal,
    *,
    generator: Generator,
    code: int = 32,
    **shared: Unpack[SharedKeywords],
) -> GradientRecipe:
    """A plain autoencoder with a narrow code (Hinton & Salakhutdinov, Science 2006).

    Advice: to reduce dimensions; the first one to try, and the baseline for the other kinds.

    Args:
        code: dimensions of the code.
        shared: encoder, decoder, likelihood and training, see ``isthmus.models.parts.keywords.SharedKeywords``.
    """
    sides = backbone(signal, generator=generator, **shared)
    check_settings(code=code)
    model = Autoencoder(
        encoder=sides.encoder,
        bottleneck=Projected(sides.hidden, code, generator=generator),
        decoder=sides.decoder(code),
        readout=sides.readout(code),
        likelihood=sides.likelihood,
        scaling=sides.scaling,
    )
    return GradientRecipe(model, sides.plan(shared, plain=True))


def denoising(
    signal: Signal,
    *,
    generator: Generator,
    code: int = 32,
    noise: str | None = None,
    level: float | None = None,
    **shared: Unpack[SharedKeywords],
) -> GradientRecipe:
    """A denoising autoencoder: reconstructs rows from corrupted ones (Vincent et al., ICML 2008).

    Advice: to remove noise or fill in missing values, and for codes that are robust to small perturbations.

    Args:
        code: dimensions of the code.
        noise: corruption of the inputs in training: "dropout" for bags; "gaussian", "dropout", "masking" or "swap" for
            vectors; "gaussian", "dropout", "masking", "salt-pepper" or "patches" for images; "deletion" for tokens.
            None uses the first of these. See ``isthmus.models.parts.corruptions``.
        level: amount of noise: the standard deviation of "gaussian", otherwise the share of the numbers or tokens; None
            uses the default of the noise.
        shared: as in ``vanilla``.
    """
    sides = backbone(signal, generator=generator, **shared)
    check_settings(code=code)
    model = Autoencoder(
        encoder=sides.encoder,
        bottleneck=Projected(sides.hidden, code, generator=generator),
        decoder=sides.decoder(code),
        readout=sides.readout(code),
        likelihood=sides.likelihood,
        scaling=sides.scaling,
        corruption=corruption_of(signal, noise, level),
    )
    return GradientRecipe(model, sides.plan(shared, plain=True))


def variational(
    signal: Signal,
    *,
    generator: Generator,
    code: int = 32,
    beta: float = 1.0,
    annealing: float = 0.25,
    free_bits: float = 0.0,
    samples: int = 1,
    prior: str = "standard",
    components: int = 50,
    **shared: Unpack[SharedKeywords],
) -> GradientRecipe:
    """A variational autoencoder: codes are sampled and regularised towards a prior (Kingma & Welling, ICLR 2014).

    Advice: to generate and to interpolate, and if a likelihood is needed; for bags a beta of 0.2 ranks better.

    Over tokens the posterior means have a fixed standard deviation (Zhu et al., ACL 2020), without which the decoder
    learns to ignore the code; ``sequence_vae`` has more remedies and architectures.

    Args:
        code: dimensions of the code.
        beta: weight of the rate (KL divergence from the prior) at the end of annealing; 1 is the evidence lower bound.
        annealing: share of the training over which the weight rises from 0.
        free_bits: nats per dimension that are not penalised (Kingma et al. 2016), with the standard prior.
        samples: codes drawn for each row; more than one give an importance weighted autoencoder (Burda et al. 2016),
            for which ``beta``, ``annealing`` and ``free_bits`` have no effect.
        prior: "standard" is N(0, 1); "mixture" a trainable mixture of Gaussians; "pseudo-inputs" the posteriors of
            trainable inputs, which are initialised with rows of the data (the VampPrior, Tomczak & Welling, AISTATS
            2018; not for tokens). The last two fit many distributions better, but are slower.
        components: number of Gaussians of a "mixture", or number of "pseudo-inputs".
        likelihood: likelihood of the reconstruction, one of those of ``vanilla``; None is "learned-scale" for vectors
            and images: one learned standard deviation, so that it need not be balanced against the rate by hand
            (Rybkin, Daniilidis & Levine, ICML 2021).
        shared: as in ``vanilla``.
    """
    if shared.get("likelihood") is None and isinstance(signal, Vector | Grid):
        shared["likelihood"] = "learned-scale"
    sides = backbone(signal, generator=generator, **shared)
    check_settings(code=code, annealing=annealing, samples=samples)
    if beta < 0 or free_bits < 0:
        raise SettingError(f"beta={beta}, free_bits={free_bits}", expected="numbers of 0 or more")
    if free_bits and prior != "standard":
        raise SettingError(f"free_bits={free_bits} with prior={prior!r}", expected="prior='standard', or free_bits=0")
    bottleneck: Gaussian | BatchNormGaussian
    if isinstance(signal, Tokens):
        bottleneck = BatchNormGaussian(sides.hidden, code, generator=generator, scale=SPREAD)
    else:
        bottleneck = Gaussian(sides.hidden, code, generator=generator)
    chosen = prior_of(prior, signal, sides.encoder, bottleneck, code, components, generator)
    weight = LinearAnnealing(beta, annealing)
    bound: Objective = FreeBits(free_bits, weight) if free_bits else Elbo(weight)
    model = Autoencoder(
        encoder=sides.encoder,
        bottleneck=bottleneck,
        prior=chosen.part,
        decoder=sides.decoder(code),
        readout=sides.readout(code),
        likelihood=sides.likelihood,
        scaling=sides.scaling,
        objective=ImportanceWeighted() if samples > 1 else bound,
    )
    after = partial(calibrate, model, batching=sides.batching) if isinstance(signal, Tokens) else None
    plan = sides.plan(shared, samples=samples)
    return GradientRecipe(model, plan, chosen.start(model), after)


FORMS = ("topk", "batch-topk", "jumprelu", "l1", "kl")


WEIGHTS = {"topk": 0.0, "batch-topk": 0.0, "jumprelu": 1.0, "l1": 0.1, "kl": 3.0}
"""Default weights of the penalties."""


LONGEST_DEAD = 10_000
"""Maximum number of rows without activation after which a unit counts as dead."""


def sparse(
    signal: Signal,
    *,
    generator: Generator,
    code: int = 512,
    form: str = "topk",
    k: int = 32,
    weight: float | None = None,
    target: float = 0.05,
    revival: float = 1 / 32,
    dead_after: int | None = None,
    **shared: Unpack[SharedKeywords],
) -> GradientRecipe:
    """A sparse autoencoder: a wide code with few active units per row (Gao et al., ICLR 2025).

    Advice: for codes with interpretable units; use several times more units than inputs, and centred inputs.

    Units that no row uses are trained to reconstruct the residual of the others, and the decoder weights of a unit have
    norm 1, so that only its activation matters. Over vectors there are no further layers unless ``layers`` is given:
    encoder and decoder are one linear layer each, with an activation between them. After a deeper encoder, the units of
    "topk" and "batch-topk" are batch-normalised so that they compete on equal terms (``BatchNormLinear``): otherwise
    the component that all hidden states share would favour a few units in every row.

    Args:
        code: number of units.
        form: "topk": the ``k`` largest units of a row; "batch-topk": the largest of a batch, so that rows may differ
            (Bussmann et al. 2024); "jumprelu": units above their own learned thresholds (Rajamanoharan et al. 2024);
            "l1": rectified units whose sum is penalised; "kl": sigmoid units with a mean activation of ``target`` (Ng
            2011).
        k: active units per row for "topk" and "batch-topk"; for "jumprelu" the number that the thresholds are trained
            for.
        weight: weight of the penalty of "jumprelu", "l1" and "kl"; None is 1, 0.1 and 3, respectively.
        target: mean activation of a unit for "kl", between 0 and 1.
        revival: weight of the loss that revives dead units; 0 leaves them dead. Not for "kl".
        dead_after: number of training rows without activation after which a unit counts as dead; None is one epoch, but
            at most 10,000 rows.
        layers: number of layers of the encoder and of the decoder, as in ``vanilla``; None is 0 for vectors, 1 for bags
            and 2 otherwise.
        shared: as in ``vanilla``.
    """
    if shared.get("layers") is None and isinstance(signal, Vector):
        shared["layers"] = 0
    sides = backbone(signal, generator=generator, **shared)
    check_settings(code=code, k=k)
    check_choice("form", form, FORMS)
    penalty = _penalty(form, k, WEIGHTS[form] if weight is None else weight, target)
    auxiliary = None if form == "kl" or not revival else AuxiliaryLoss(revival, dead_after=dead_after or LONGEST_DEAD)
    # Columns of length 1 fix the scale of a code; sigmoid units, which are at most 1, need columns of any length.
    hooks: tuple[Hook, ...] = () if form == "kl" else (unit_norm_decoder(),)
    # Hidden states of encoders share a large component; plain vectors are centred, and their amplitudes are meaningful.
    normalised = not (isinstance(signal, Vector) and shared["layers"] == 0)
    model = Autoencoder(
        encoder=sides.encoder,
        bottleneck=_units(form, sides.hidden, code, k, normalised, generator),
        decoder=sides.decoder(code),
        readout=sides.readout(code),
        likelihood=sides.likelihood,
        scaling=sides.scaling,
        penalties=penalty if auxiliary is None else (*penalty, auxiliary),
        hooks=hooks,
    )
    if hooks:
        _start(model, signal)
    counts = None if dead_after is not None or auxiliary is None else partial(_dead_after_an_epoch, model, auxiliary)
    return GradientRecipe(model, sides.plan(shared), counts)


def _dead_after_an_epoch(model: Autoencoder, auxiliary: AuxiliaryLoss, source: Source) -> None:
    """In a small source no unit would count as dead before the training ends."""
    counted = replace(auxiliary, dead_after=min(LONGEST_DEAD, max(1, len(source))))
    model.penalties = tuple(counted if penalty is auxiliary else penalty for penalty in model.penalties)


def contractive(
    signal: Signal,
    *,
    generator: Generator,
    code: int = 32,
    weight: float = 0.1,
    method: str = "auto",
    probes: int = 1,
    **shared: Unpack[SharedKeywords],
) -> GradientRecipe:
    """A contractive autoencoder: its codes change little under small changes of the input (Rifai et al., ICML 2011).

    Advice: for robust codes without choosing a noise; slower than denoising.

    Args:
        code: dimensions of the code.
        weight: weight of the penalty, the squared norm of ∂code / ∂input, relative to the likelihood.
        method: how the norm is computed: "closed", "gram", "jacobian", "hutchinson" or "difference", see
            ``isthmus.core.penalties.jacobian``; "auto" is exact for an MLP and an estimate otherwise.
        probes: number of random directions per row if the norm is estimated.
        shared: as in ``vanilla``.
    """
    sides = backbone(signal, generator=generator, **shared)
    check_settings(code=code)
    model = Autoencoder(
        encoder=sides.encoder,
        bottleneck=Projected(sides.hidden, code, generator=generator),
        decoder=sides.decoder(code),
        readout=sides.readout(code),
        likelihood=sides.likelihood,
        scaling=sides.scaling,
        penalties=(Contractive(weight, method, probes),),
    )
    return GradientRecipe(model, sides.plan(shared))


def _units(form: str, hidden: int, code: int, k: int, normalised: bool, generator: Generator) -> Bottleneck:
    match form:
        case "topk":
            return TopK(hidden, code, k, generator=generator, normalised=normalised)
        case "batch-topk":
            return BatchTopK(hidden, code, k, generator=generator, normalised=normalised)
        case "jumprelu":
            return JumpReLU(hidden, code, generator=generator)
        case _:
            return SparseUnits(hidden, code, generator=generator, activation="sigmoid" if form == "kl" else "relu")


def _penalty(form: str, k: int, weight: float, target: float) -> tuple[Penalty, ...]:
    match form:
        case "jumprelu":
            return (L0(float(k), weight),)
        case "l1":
            return (L1(weight),)
        case "kl":
            return (KlSparsity(target, weight),)
        case _:
            return ()


def _start(model: Autoencoder, signal: Signal) -> None:
    """Initialise encoder and decoder as transposes of each other, if their layers match."""
    if isinstance(signal, Bag | Vector):
        tied_start(model)
    else:
        unit_columns(model)
