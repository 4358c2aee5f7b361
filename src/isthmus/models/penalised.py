"""The two kinds of autoencoder that are held by something beside a narrow code: few units in use, or a code that keeps
still. Part of ``isthmus.models.kinds``."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from torch import Generator

from isthmus.batch import Bag, Grid, Tokens, Vector
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.gaussian import Projected
from isthmus.core.bottlenecks.sparse import BatchTopK, JumpReLU, SparseUnits, TopK
from isthmus.core.penalties.code_weights import unit_columns
from isthmus.core.penalties.dead_units import AuxiliaryLoss
from isthmus.core.penalties.jacobian import Contractive
from isthmus.core.penalties.sparsity import L0, L1, KlSparsity, tied_start, unit_norm_decoder
from isthmus.models.parts.backbones import ends
from isthmus.models.recipes.checks import check_choice, check_settings
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.protocols import Bottleneck, Hook, Penalty, Source

FORMS = ("topk", "batch-topk", "jumprelu", "l1", "kl")

WEIGHTS = {"topk": 0.0, "batch-topk": 0.0, "jumprelu": 1.0, "l1": 0.1, "kl": 3.0}
"""Of the penalty, where nothing else is said."""

LONGEST_DEAD = 10_000
"""Rows that a unit may be silent before it counts as dead, however many there are."""


def sparse(
    signal: Bag | Vector | Grid | Tokens,
    *,
    generator: Generator,
    code: int = 512,
    form: str = "topk",
    active: int = 32,
    weight: float | None = None,
    target: float = 0.05,
    revival: float = 1 / 32,
    dead_after: int | None = None,
    hidden: int = 256,
    layers: int | None = None,
    filters: int = 32,
    heads: int = 4,
    dropout: float = 0.0,
    likelihood: str | None = None,
    epochs: int = 30,
    batch_size: int = 256,
    tokens: int = 4096,
    learning_rate: float = 1e-3,
    decay: str = "cosine",
    weight_decay: float = 0.0,
    patience: int | None = None,
) -> GradientRecipe:
    """A sparse autoencoder: a wide code of which each row uses a few units (Gao et al., ICLR 2025).

    Advice: for codes whose single units mean something; take several times more units than inputs, and centred inputs.

    Units that no row uses are fitted to what the others leave over, and what a unit writes has length 1, so that it is
    told by its activation. Over vectors there are no further layers unless ``layers`` asks for them: the code is one
    linear layer and its activation away from the data on either side. Behind an encoder the units of "topk" and
    "batch-topk" are normalised over the rows and so compete on equal terms (``BatchNormLinear``): what all hidden
    states share would give a few the lead in every row.

    Args:
        code: how many units.
        form: "topk": the ``active`` largest of a row; "batch-topk": of a batch, so that rows may differ (Bussmann et
            al. 2024); "jumprelu": units above a threshold of their own, which is learnt (Rajamanoharan et al. 2024);
            "l1": rectified units whose sum is a penalty; "kl": sigmoid units that are on by ``target`` on average (Ng
            2011).
        active: units of a row; of "jumprelu" the number that the thresholds are drawn to.
        weight: of the penalty of "jumprelu", "l1" and "kl"; None is 1, .1 and 3.
        target: of "kl": how far a unit shall be on, on average.
        revival: weight of the loss that revives dead units; 0 leaves them dead. "kl" has none.
        dead_after: training rows without a single use after which a unit counts as dead; None is one epoch of them, and
            at most 10,000.
        layers: None is 0 for vectors and as in ``vanilla`` otherwise.
        hidden, filters, heads, dropout, likelihood, epochs, batch_size, tokens: as in ``vanilla``.
        learning_rate, decay, weight_decay, patience: as in ``vanilla``.
    """
    if layers is None and isinstance(signal, Vector):
        layers = 0
    sides = ends(
        signal, generator=generator, hidden=hidden, layers=layers, filters=filters, heads=heads, dropout=dropout,
        likelihood=likelihood, batch_size=batch_size, tokens=tokens,
    )  # fmt: skip
    check_settings(code=code, active=active, epochs=epochs)
    check_choice("form", form, FORMS)
    penalty = _penalty(form, active, WEIGHTS[form] if weight is None else weight, target)
    revives = () if form == "kl" or not revival else (AuxiliaryLoss(revival, dead_after=dead_after or LONGEST_DEAD),)
    # Columns of length 1 make the scale of a code; sigmoid units, which end at 1, need columns of their own length.
    hooks: tuple[Hook, ...] = () if form == "kl" else (unit_norm_decoder(),)
    # Encoders give hidden states that share a large part; bare vectors are centred, and amplitudes mean something.
    normalised = not (isinstance(signal, Vector) and layers == 0)
    model = Autoencoder(
        encoder=sides.encoder,
        bottleneck=_units(form, sides.hidden, code, active, normalised, generator),
        decoder=sides.decoder(code),
        readout=sides.readout(code),
        likelihood=sides.likelihood,
        scaling=sides.scaling,
        penalties=(*penalty, *revives),
        hooks=hooks,
    )
    if hooks:
        _start(model, signal)
    learns = partial(_dead_after_an_epoch, model) if dead_after is None else None
    return GradientRecipe(model, sides.plan(epochs, learning_rate, decay, weight_decay, patience), learns)


def _dead_after_an_epoch(model: Autoencoder, source: Source) -> None:
    """In a small source nothing would count as dead before the training ends."""
    rows = min(LONGEST_DEAD, max(1, len(source)))
    model.penalties = tuple(
        replace(penalty, dead_after=rows) if isinstance(penalty, AuxiliaryLoss) else penalty
        for penalty in model.penalties
    )


def contractive(
    signal: Bag | Vector | Grid | Tokens,
    *,
    generator: Generator,
    code: int = 32,
    weight: float = 0.1,
    method: str = "auto",
    probes: int = 1,
    hidden: int = 256,
    layers: int | None = None,
    filters: int = 32,
    heads: int = 4,
    dropout: float = 0.0,
    likelihood: str | None = None,
    epochs: int = 30,
    batch_size: int = 256,
    tokens: int = 4096,
    learning_rate: float = 1e-3,
    decay: str = "cosine",
    weight_decay: float = 0.0,
    patience: int | None = None,
) -> GradientRecipe:
    """A contractive autoencoder: small changes of a row leave its code nearly still (Rifai et al., ICML 2011).

    Advice: for codes that hold still under changes the data do not make, with no noise to choose; slower than noise.

    Args:
        code: dimensions of the code.
        weight: of the squared norm of ∂code / ∂input beside the likelihood.
        method: how that norm is found, see ``isthmus.core.penalties.jacobian``; "auto" is exact for an MLP and an
            unbiased estimate otherwise.
        probes: random directions of a row, where it is estimated.
        hidden, layers, filters, heads, dropout, likelihood, epochs, batch_size, tokens: as in ``vanilla``.
        learning_rate, decay, weight_decay, patience: as in ``vanilla``.
    """
    sides = ends(
        signal, generator=generator, hidden=hidden, layers=layers, filters=filters, heads=heads, dropout=dropout,
        likelihood=likelihood, batch_size=batch_size, tokens=tokens,
    )  # fmt: skip
    check_settings(code=code, epochs=epochs)
    model = Autoencoder(
        encoder=sides.encoder,
        bottleneck=Projected(sides.hidden, code, generator=generator),
        decoder=sides.decoder(code),
        readout=sides.readout(code),
        likelihood=sides.likelihood,
        scaling=sides.scaling,
        penalties=(Contractive(weight, method, probes),),
    )
    return GradientRecipe(model, sides.plan(epochs, learning_rate, decay, weight_decay, patience))


def _units(form: str, hidden: int, code: int, active: int, normalised: bool, generator: Generator) -> Bottleneck:
    match form:
        case "topk":
            return TopK(hidden, code, active, generator=generator, normalised=normalised)
        case "batch-topk":
            return BatchTopK(hidden, code, active, generator=generator, normalised=normalised)
        case "jumprelu":
            return JumpReLU(hidden, code, generator=generator)
        case _:
            return SparseUnits(hidden, code, generator=generator, activation="sigmoid" if form == "kl" else "relu")


def _penalty(form: str, active: int, weight: float, target: float) -> tuple[Penalty, ...]:
    match form:
        case "jumprelu":
            return (L0(float(active), weight),)
        case "l1":
            return (L1(weight),)
        case "kl":
            return (KlSparsity(target, weight),)
        case _:
            return ()


def _start(model: Autoencoder, signal: Bag | Vector | Grid | Tokens) -> None:
    """Encoder and decoder agree from the first step where they are mirrors of each other."""
    if isinstance(signal, Bag | Vector):
        tied_start(model)
    else:
        unit_columns(model)
