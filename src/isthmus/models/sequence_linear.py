"""A linear model of what comes next, in closed form, see ``isthmus.core.linear.next_item``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn

from isthmus.batch import Bag, Bags, Tensors, Tokens, require_tokens
from isthmus.core.linear import next_item
from isthmus.core.linear.decayed_pairs import Decay, Events
from isthmus.core.linear.dense import LinearAutoencoder
from isthmus.core.linear.next_item import Powers
from isthmus.core.linear.sparse import SparseLinear
from isthmus.core.recency import seconds_of
from isthmus.errors import SettingError
from isthmus.machine.hardware import available_bytes
from isthmus.models.recipes.checks import check_settings
from isthmus.models.recipes.recipe import fit_in_one_step
from isthmus.protocols import Columns, Source
from isthmus.reprs import brief
from isthmus.training.history import History
from isthmus.training.interrupts import interruptible
from isthmus.training.progress import Record
from isthmus.training.run import Run, Validation

DENSE = 20_000
"""Number of items up to which every item may contribute to every other one, if ``neighbours`` is not given."""

NEIGHBOURS = 100
"""Number of items that contribute to each one beyond that."""

LONGEST = 2**31 - 1
"""Length of the histories that are trained on: all of them, whole."""

TOKENS = 1 << 22
"""Number of tokens and padding that are read at a time."""


class SequenceLinear(nn.Module):
    """scores = Σ_i w_i B[item_i] over the last items of a history, whose weights w fall with their age.

    Args:
        linear: B, dense or with few weights in each column.
        asked: the weights of a history.
    """

    def __init__(self, linear: LinearAutoencoder | SparseLinear, asked: Decay) -> None:
        super().__init__()
        self.linear, self.asked = linear, asked

    @property
    def width(self) -> int:
        """How many items are ranked."""
        return self.linear.width

    @property
    def signal(self) -> Tokens:
        """The catalogue, and how many of the last items of a history count."""
        return Tokens(self.width, self.asked.window)

    @property
    def timed(self) -> bool:
        """Whether times are needed."""
        return self.asked.time_tau is not None

    @property
    def training_signal(self) -> Tokens:
        """What training reads: whole histories, since each of their items is to be predicted."""
        return Tokens(self.width, LONGEST)

    def prepare(self, inputs: Tensors) -> Bags:
        """The last items of each history with their weights, one entry for each event. Bags are taken as they are.

        Raises:
            SettingError: inputs of another kind.
        """
        if isinstance(inputs, Bags):
            return inputs
        tokens = require_tokens(inputs, "a model that reads items in order")
        lengths = tokens.mask.sum(1, keepdim=True)
        ages = lengths - 1 - torch.arange(tokens.mask.shape[1], device=lengths.device)
        counts = tokens.mask & (ages < self.asked.window)
        weights = torch.exp(ages[counts].float() / -self.asked.tau)
        if tokens.times is not None and self.asked.time_tau is not None:
            newest = tokens.times.gather(1, (lengths - 1).clamp(min=0))
            weights *= self.asked.faded((newest - tokens.times)[counts]).to(weights.dtype)
        offsets = torch.zeros(tokens.size + 1, dtype=torch.int64, device=lengths.device)
        torch.cumsum(counts.sum(1), 0, out=offsets[1:])
        return Bags(tokens.ids[counts], offsets, weights)

    def scores(self, state: Bags, columns: Columns = None) -> Float[Tensor, "batch columns"]:
        """Sums of rows of B, for some columns or all; higher is better."""
        return self.linear.scores(state, columns)

    def weights_for(self, column: int) -> Float[Tensor, " width"]:
        """A column of B."""
        return self.linear.weights_for(column)


@brief
@dataclass(frozen=True)
class SequenceLinearRecipe:
    """A model of what comes next, and the settings for which its weights are solved.

    Attributes:
        decay: the weights of the history of each target.
        regularisation: λ.
        powers: how popularity counts.
    """

    model: SequenceLinear
    decay: Decay
    regularisation: float
    powers: Powers

    @property
    def chooses_epoch(self) -> bool:
        """Whether there is an epoch to choose. There is not, because a closed form has no epochs."""
        return False

    def fit(self, source: Source, run: Run, validation: Validation | None = None) -> History:
        """Solve for the weights on the CPU, then move the model to the run's device.

        Deterministic: seed and precision have no effect. Ctrl-C ends the program, with the weights either unchanged or
        completely replaced.

        Args:
            source: items in order.
            run: device and progress.
            validation: a score to record, if any.

        Returns:
            A history with one record.

        Raises:
            SettingError: the matrices do not fit in the free memory, λ is too small for these data, or times are needed
                and not known.
        """
        return fit_in_one_step(
            self.model, "solve", self.model.width, run, validation, lambda: self._solve(events_of(source), run)
        )

    def _solve(self, events: Events, run: Run) -> Record:
        model, width = self.model.linear, self.model.width
        if isinstance(model, SparseLinear):
            return self._solve_columns(model, events, run)
        _check_memory(width)
        weights = next_item.dense_weights(events, width, self.decay, self.regularisation, self.powers)
        run.progress.step(width, 0.0)
        with interruptible() as stop, stop.held():
            model.cpu().weights.copy_(weights)
        return {}

    def _solve_columns(self, model: SparseLinear, events: Events, run: Run) -> Record:
        neighbours = torch.empty(model.neighbours.shape, dtype=torch.int32)
        weights = torch.empty(model.weights.shape)
        left, done = 0.0, 0
        given = (events, model.width, self.decay, self.regularisation, self.powers, weights.shape[1])
        for part in next_item.sparse_weights(*given):
            columns = slice(part.first, part.first + len(part.weights))
            neighbours[columns], weights[columns] = part.neighbours.int(), part.weights
            left, done = left + float(part.unexplained.sum()), done + len(part.weights)
            run.progress.step(len(part.weights), left / done)
        with interruptible() as stop, stop.held():
            model.cpu().assign(neighbours, weights)
        return {"loss": left / max(1, done)}


def sequence_linear(
    signal: Bag,
    *,
    generator: Generator,
    tau: float = 4.0,
    ask_tau: float | None = None,
    regularisation: float = 200.0,
    time_tau: str | None = None,
    least: float = 0.1,
    target_power: float = 0.0,
    input_power: float = 0.0,
    neighbours: int | None = None,
) -> SequenceLinearRecipe:
    """SLIT: a linear model of the next item, in closed form (Choi et al., WWW 2021).

    Advice: if the order of events is known, the first model to try for what comes next; in seconds, and for users that
    it has never seen.

    Each event is predicted from those before it, whose weights fall by exp(−1 / τ) with each further event: with rows S
    of such histories and T of what came next, B = (SᵀS + λ I)⁻¹ SᵀT ("Session-aware Linear Item-Item Models for
    Session-based Recommendation"; here with one target for each history). With ``time_tau`` weights also fall with the
    time between the events, as in TALE (Park et al., "Temporal Linear Item-Item Model for Sequential Recommendation",
    WSDM 2025). Memory grows with the square of the number of items, 12 bytes for each pair, or is 8 bytes for each of
    items × ``neighbours``.

    Args:
        tau: τ, the number of events after which the weight of an event has fallen to 1/e; events older than 8 τ or 200
            events do not count.
        ask_tau: τ of the histories that recommendations are made for; null is ``tau``.
        regularisation: λ, the L2 penalty on the weights; larger values rely more on frequent pairs of items.
        time_tau: the time after which a second factor of the weights has fallen to 1/e, such as "30d" (s, min, h, d, w
            or y); null ignores times.
        least: the smallest value of that second factor.
        target_power: targets are divided by this power of their popularity; above 0, less popular items are
            recommended.
        input_power: λ of an item is proportional to this power of its popularity; 0 is the same λ for all.
        neighbours: number of items that contribute to each item; null is all of them up to 20,000 items and 100 beyond.
    """
    check_settings(tau=tau, regularisation=regularisation)
    for name, value in (("ask_tau", ask_tau), ("neighbours", neighbours)):
        if value is not None:
            check_settings(**{name: value})
    if not 0 <= least <= 1:
        raise SettingError(f"least={least}", expected="0 <= least <= 1")
    slots = NEIGHBOURS if neighbours is None and signal.width > DENSE else neighbours
    linear = LinearAutoencoder(signal.width) if slots is None else SparseLinear(signal.width, min(slots, signal.width))
    seconds = None if time_tau is None else seconds_of(time_tau, "time_tau")
    model = SequenceLinear(linear, Decay(tau if ask_tau is None else ask_tau, seconds, least))
    return SequenceLinearRecipe(model, Decay(tau, seconds, least), regularisation, Powers(target_power, input_power))


def events_of(source: Source) -> Events:
    """All events of a source of items in order, on the CPU; its rows are in another order.

    Raises:
        SettingError: a source of anything else.
    """
    here = source.to(torch.device("cpu"))
    items, lengths, times = [], [], []
    for rows in _batches(here.lengths):
        tokens = require_tokens(here.batch(rows).inputs, "a model that reads items in order")
        items.append(tokens.ids[tokens.mask])
        lengths.append(tokens.mask.sum(1))
        times.append(None if tokens.times is None else tokens.times[tokens.mask].double())
    known = [some for some in times if some is not None]
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), *lengths]).cumsum(0)
    every = torch.cat(items) if items else torch.zeros(0, dtype=torch.int64)
    return Events(every, offsets, torch.cat(known) if known and len(known) == len(times) else None)


def _batches(lengths: Int64[Tensor, " rows"]) -> Iterator[Int64[Tensor, " some"]]:
    """The rows by length, so many at a time that little padding is needed and the rest fits."""
    order = lengths.argsort()
    sizes = lengths[order].clamp(min=1)
    stop = len(order)
    while stop:
        start = max(0, stop - max(1, TOKENS // int(sizes[stop - 1])))
        yield order[start:stop]
        stop = start


def _check_memory(width: int) -> None:
    """Check the memory before the computation would swap or be killed."""
    free, need = available_bytes(), next_item.BYTES * width**2
    if free is not None and need > free:
        raise SettingError(
            f"a linear model of {width:,} items needs {need / 1e9:,.2f} GB more",
            expected=f"at most the {free / 1e9:,.2f} GB of free memory",
            remedy=f"give the number of neighbours, such as neighbours={NEIGHBOURS}",
        )
