"""Encoder, decoder and likelihood for a signal, which all kinds of autoencoders in ``kinds`` share; the kinds add the
bottleneck.

    Bag     sum of item vectors, MLP      MLP                          multinomial over all items
    Vector  MLP                           MLP                          Gaussian
    Grid    convolutions that halve       transposed convolutions      Gaussian, one number a pixel
    Tokens  Transformer                   Transformer, teacher-forced  categorical
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Unpack, cast

from torch import Generator

from isthmus.batch import Bag, Grid, Signal, Tokens, Vector
from isthmus.core.decoders import ConvDecoder, DenseDecoder, TransformerDecoder
from isthmus.core.encoders import BagEncoder, ConvEncoder, DenseEncoder, TransformerEncoder
from isthmus.core.likelihoods.continuous import Gaussian
from isthmus.core.likelihoods.discrete import Categorical, Multinomial
from isthmus.core.ops.bags import unit_norm
from isthmus.core.readouts import GridReadout, LinearReadout
from isthmus.errors import SettingError
from isthmus.models.parts.keywords import SharedKeywords, complete
from isthmus.models.parts.likelihoods import LIKELIHOODS, likelihood_of
from isthmus.models.recipes.checks import check_choice, check_settings
from isthmus.protocols import Decoder, Encoder, Likelihood, Phase, Readout
from isthmus.reprs import brief
from isthmus.training.batching import Batching, Shuffled, TokenBudget
from isthmus.training.plan import Plan

LAYERS = {Bag: 1, Vector: 2, Grid: 2, Tokens: 2}
"""Default width of hidden layers."""

BAG_LIKELIHOODS = ("multinomial", "gaussian")


@brief
@dataclass(frozen=True)
class Backbone:
    """The parts of an autoencoder for one signal, except the bottleneck.

    Attributes:
        hidden: width of the encoder's output.
        decoder: creates the decoder for a code of a given width.
        readout: creates the readout of that decoder.
        scaling: a fixed transformation of the inputs.
        batching: how an epoch is split into batches.
        clip: maximum norm of the gradient.
        capturable: whether steps may be captured in a CUDA graph, as in ``Plan``.
    """

    encoder: Encoder
    hidden: int
    decoder: Callable[[int], Decoder]
    readout: Callable[[int], Readout]
    likelihood: Likelihood
    batching: Batching
    scaling: Callable[[Any], Any] | None = None
    clip: float | None = None
    capturable: bool = True

    def plan(self, shared: SharedKeywords, *, samples: int = 1, plain: bool = False) -> Plan:
        """A plan with a single phase.

        Args:
            shared: keywords of the kind; missing ones have their defaults.
            samples: number of codes drawn per row.
            plain: whether the loss is that of a plain autoencoder, as in ``Plan``.
        """
        settings = complete(shared)
        return Plan(
            phases=(Phase(settings["epochs"], samples=samples),),
            batching=self.batching,
            learning_rate=settings["learning_rate"],
            decay=settings["decay"],
            weight_decay=settings["weight_decay"],
            clip=self.clip,
            patience=settings["patience"],
            capturable=self.capturable and samples == 1,
            plain=plain,
        )


def backbone(signal: Signal, *, generator: Generator, **shared: Unpack[SharedKeywords]) -> Backbone:
    """The parts for a signal.

    Args:
        signal: sizes of the data.
        generator: random generator for the initial weights.
        shared: see ``isthmus.models.parts.keywords.SharedKeywords``.

    Returns:
        Encoder, decoder, readout, likelihood and plan.

    Raises:
        SettingError: a size below 1, or a setting that the signal does not support.
    """
    keywords = complete(shared)
    depth = LAYERS[type(signal)] if keywords["layers"] is None else keywords["layers"]
    _check(signal, depth, keywords)
    hidden, size, likelihood = keywords["hidden"], keywords["batch_size"], keywords["likelihood"]
    match signal:
        case Bag():
            return _bags(signal, generator, (hidden,) * depth, likelihood or BAG_LIKELIHOODS[0], size)
        case Vector():
            return _vectors(signal, generator, (hidden,) * depth, likelihood or LIKELIHOODS[0], size)
        case Grid():
            widths = tuple(keywords["filters"] * 2**halving for halving in range(depth))
            return _grids(signal, generator, hidden, widths, likelihood or LIKELIHOODS[0], size)
        case Tokens():
            sizes = (hidden, depth, keywords["heads"], signal.length)
            return _tokens(signal, generator, sizes, keywords["dropout"], keywords["tokens"])


def _check(signal: Signal, depth: int, keywords: SharedKeywords) -> None:
    sizes = ("hidden", "filters", "heads", "batch_size", "tokens", "epochs")
    check_settings(**{name: value for name, value in cast(Mapping[str, Any], keywords).items() if name in sizes})
    if not isinstance(signal, Vector):
        check_settings(layers=depth)
    elif depth < 0:
        raise SettingError(f"layers={depth}", expected="0 or more")
    if isinstance(signal, Tokens) and keywords["likelihood"] is not None:
        raise SettingError(f"likelihood={keywords['likelihood']!r} of tokens", expected="none: it is categorical")


def _bags(signal: Bag, generator: Generator, sizes: tuple[int, ...], likelihood: str, batch_size: int) -> Backbone:
    check_choice("likelihood", likelihood, BAG_LIKELIHOODS)
    counts = likelihood == "multinomial"
    return Backbone(
        encoder=BagEncoder(signal.width, sizes, generator=generator, activate_last=True),
        hidden=sizes[-1],
        decoder=lambda code: DenseDecoder(code, sizes, generator=generator),
        readout=lambda code: LinearReadout(sizes[-1], signal.width, generator=generator),
        likelihood=Multinomial() if counts else Gaussian(),
        batching=Shuffled(batch_size),
        scaling=unit_norm if counts else None,
    )


def _vectors(
    signal: Vector, generator: Generator, sizes: tuple[int, ...], likelihood: str, batch_size: int
) -> Backbone:
    chosen = likelihood_of(likelihood, signal)
    return Backbone(
        encoder=DenseEncoder(signal.width, sizes, generator=generator, activation="silu", activate_last=True),
        hidden=sizes[-1] if sizes else signal.width,
        decoder=lambda code: DenseDecoder(code, sizes, generator=generator, activation="silu"),
        readout=lambda code: LinearReadout(
            sizes[-1] if sizes else code, signal.width * chosen.outputs, generator=generator
        ),
        likelihood=chosen.part,
        batching=Shuffled(batch_size),
    )


def _grids(
    signal: Grid, generator: Generator, hidden: int, widths: tuple[int, ...], likelihood: str, batch_size: int
) -> Backbone:
    height, width = signal.height, signal.width
    chosen = likelihood_of(likelihood, signal)
    return Backbone(
        encoder=ConvEncoder(signal.channels, height, width, widths, generator=generator, hidden=hidden),
        hidden=hidden,
        decoder=lambda code: ConvDecoder(code, height, width, widths, generator=generator),
        readout=lambda code: GridReadout(
            widths[0], signal.channels, height, width, generator=generator, outputs=chosen.outputs
        ),
        likelihood=chosen.part,
        batching=Shuffled(batch_size),
    )


def _tokens(
    signal: Tokens, generator: Generator, sizes: tuple[int, int, int, int], dropout: float, tokens: int
) -> Backbone:
    words = signal.vocabulary
    encoder = TransformerEncoder(words, *sizes, generator=generator, dropout=dropout)
    return Backbone(
        encoder=encoder,
        hidden=encoder.width,
        decoder=partial(_writer, words, sizes, generator, dropout),
        readout=lambda code: LinearReadout(sizes[0], words, generator=generator),
        likelihood=Categorical(),
        batching=TokenBudget(tokens),
        clip=5.0,
        capturable=False,
    )


def _writer(
    words: int, sizes: tuple[int, int, int, int], generator: Generator, dropout: float, code: int
) -> TransformerDecoder:
    return TransformerDecoder(words, *sizes, code, generator=generator, dropout=dropout)
