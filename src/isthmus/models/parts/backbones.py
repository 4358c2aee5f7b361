"""The two ends of a bridge, chosen by the signal: what reads it, what writes it, how probable it is. The kinds of
autoencoder in ``kinds`` only add what lies between.

    Bag     sum of item vectors, MLP      MLP                          multinomial over all items
    Vector  MLP                           MLP                          Gaussian
    Grid    convolutions that halve       transposed convolutions      Gaussian, one number a pixel
    Tokens  Transformer                   Transformer, teacher-forced  categorical
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Generator

from isthmus.batch import Bag, Grid, Signal, Tokens, Vector
from isthmus.core.decoders import ConvDecoder, DenseDecoder, TransformerDecoder
from isthmus.core.encoders import BagEncoder, ConvEncoder, DenseEncoder, TransformerEncoder
from isthmus.core.grids import GridReadout
from isthmus.core.likelihoods.discrete import Categorical, Gaussian, Multinomial
from isthmus.core.readouts import LinearReadout
from isthmus.core.scaling import unit_norm
from isthmus.errors import SettingError
from isthmus.models.parts.likelihoods import LIKELIHOODS, likelihood_of
from isthmus.models.recipes.checks import check_choice, check_settings
from isthmus.protocols import Decoder, Encoder, Likelihood, Phase, Readout
from isthmus.training.batching import TokenBudget
from isthmus.training.plan import Batching, Plan, Shuffled

LAYERS = {Bag: 1, Vector: 2, Grid: 2, Tokens: 2}
"""Where nothing else is said."""

BAG_LIKELIHOODS = ("multinomial", "gaussian")


@dataclass(frozen=True)
class Ends:
    """What an autoencoder of one signal has beside its bottleneck.

    Attributes:
        hidden: width of the state that the encoder hands to the bottleneck.
        decoder: makes the decoder for a code of so many dimensions.
        readout: makes what reads that decoder.
        scaling: a fixed change of the inputs.
        batching: how an epoch is cut.
        clip: largest norm of the gradient.
    """

    encoder: Encoder
    hidden: int
    decoder: Callable[[int], Decoder]
    readout: Callable[[int], Readout]
    likelihood: Likelihood
    batching: Batching
    scaling: Callable[[Any], Any] | None = None
    clip: float | None = None

    def plan(
        self,
        epochs: int,
        learning_rate: float,
        decay: str,
        weight_decay: float,
        patience: int | None,
        *,
        samples: int = 1,
    ) -> Plan:
        """One phase of so many epochs; ``samples`` is of the code, for each row."""
        return Plan(
            phases=(Phase(epochs, samples=samples),),
            batching=self.batching,
            learning_rate=learning_rate,
            decay=decay,
            weight_decay=weight_decay,
            clip=self.clip,
            patience=patience,
        )


def ends(
    signal: Signal,
    *,
    generator: Generator,
    hidden: int = 256,
    layers: int | None = None,
    filters: int = 32,
    heads: int = 4,
    dropout: float = 0.0,
    likelihood: str | None = None,
    batch_size: int = 256,
    tokens: int = 4096,
) -> Ends:
    """The parts for a signal.

    Args:
        hidden: width of every state of an MLP or a Transformer, and of the last one after convolutions.
        layers: of the encoder, and of the decoder: of an MLP, blocks of a Transformer, halvings of an image; None takes
            1 for bags and 2 otherwise. 0, for vectors alone, puts the code one linear layer away from the data.
        filters: channels after the first halving of an image; each further one doubles them.
        heads: of a Transformer's attention; they divide ``hidden``.
        dropout: inside a Transformer, in training.
        likelihood: of vectors and images, one of ``isthmus.models.parts.likelihoods.LIKELIHOODS``; None is "gaussian".
            Bags have "multinomial", the default, or "gaussian", for numbers of any sign; tokens have one of their own.
        batch_size: rows of a batch.
        tokens: budget of a batch of token rows, padding counted, in the place of ``batch_size``.

    Raises:
        SettingError: a size below 1, or a setting that the signal cannot have.
    """
    depth = LAYERS[type(signal)] if layers is None else layers
    check_settings(hidden=hidden, filters=filters, heads=heads, batch_size=batch_size, tokens=tokens)
    if not isinstance(signal, Vector):
        check_settings(layers=depth)
    elif depth < 0:
        raise SettingError(f"layers={depth}", expected="0 or more")
    if isinstance(signal, Tokens) and likelihood is not None:
        raise SettingError(f"likelihood={likelihood!r} of tokens", expected="none: it is categorical")
    match signal:
        case Bag():
            return _bags(signal, generator, (hidden,) * depth, likelihood or BAG_LIKELIHOODS[0], batch_size)
        case Vector():
            return _vectors(signal, generator, (hidden,) * depth, likelihood or LIKELIHOODS[0], batch_size)
        case Grid():
            widths = tuple(filters * 2**halving for halving in range(depth))
            return _grids(signal, generator, hidden, widths, likelihood or LIKELIHOODS[0], batch_size)
        case Tokens():
            return _tokens(signal, generator, (hidden, depth, heads, signal.length), dropout, tokens)


def _bags(signal: Bag, generator: Generator, sizes: tuple[int, ...], likelihood: str, batch_size: int) -> Ends:
    check_choice("likelihood", likelihood, BAG_LIKELIHOODS)
    counts = likelihood == "multinomial"
    return Ends(
        encoder=BagEncoder(signal.width, sizes, generator=generator, activate_last=True),
        hidden=sizes[-1],
        decoder=lambda code: DenseDecoder(code, sizes, generator=generator),
        readout=lambda code: LinearReadout(sizes[-1], signal.width, generator=generator),
        likelihood=Multinomial() if counts else Gaussian(),
        batching=Shuffled(batch_size),
        scaling=unit_norm if counts else None,
    )


def _vectors(signal: Vector, generator: Generator, sizes: tuple[int, ...], likelihood: str, batch_size: int) -> Ends:
    chosen = likelihood_of(likelihood, signal)
    return Ends(
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
) -> Ends:
    height, width = signal.height, signal.width
    chosen = likelihood_of(likelihood, signal)
    return Ends(
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
) -> Ends:
    words = signal.vocabulary
    encoder = TransformerEncoder(words, *sizes, generator=generator, dropout=dropout)
    return Ends(
        encoder=encoder,
        hidden=encoder.width,
        decoder=partial(_writer, words, sizes, generator, dropout),
        readout=lambda code: LinearReadout(sizes[0], words, generator=generator),
        likelihood=Categorical(),
        batching=TokenBudget(tokens),
        clip=5.0,
    )


def _writer(
    words: int, sizes: tuple[int, int, int, int], generator: Generator, dropout: float, code: int
) -> TransformerDecoder:
    return TransformerDecoder(words, *sizes, code, generator=generator, dropout=dropout)
