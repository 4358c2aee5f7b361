"""The ranker contract passes a ranker as it should be, and catches each way of breaking it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from isthmus.batch import Bags
from isthmus.protocols import Neighbours, Ranker
from isthmus.testing.ranker import RankerContract

WIDTH = 8


class Linear:
    """scores = x B, as it should be. Columns 6 and 7 are equal, so that they tie."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.weights = torch.randn(WIDTH, WIDTH, generator=generator)
        self.weights[:, 7] = self.weights[:, 6]

    @property
    def width(self) -> int:
        return WIDTH

    def prepare(self, inputs: Bags) -> Any:
        dense = torch.zeros(inputs.size, WIDTH)
        return dense.index_put_((inputs.rows(), inputs.indices), inputs.weights, accumulate=True)

    def scores(self, state: Any, columns: Any = None) -> Tensor:
        return state @ self.weights[:, slice(None) if columns is None else columns]


class LinearContract(RankerContract):
    kind: type[Linear] = Linear

    def ranker(self) -> Ranker:
        if not hasattr(self, "made"):
            self.made = self.kind()
        return self.made

    def bags(self) -> Bags:
        weights = torch.tensor([1.0, 2.0, 1.0, 0.5, 1.5])
        return Bags(torch.tensor([0, 3, 5, 1, 2]), torch.tensor([0, 2, 2, 3, 5]), weights)


class TestLinear(LinearContract):
    pass


class LacksAColumn(Linear):
    def scores(self, state: Any, columns: Any = None) -> Tensor:
        return super().scores(state, columns)[:, :-1]


class AnswersNan(Linear):
    """The mean of an empty bag."""

    def prepare(self, inputs: Bags) -> Any:
        return super().prepare(inputs) / inputs.totals()[:, None]


class AnswersWholeNumbers(Linear):
    def scores(self, state: Any, columns: Any = None) -> Tensor:
        return (100 * super().scores(state, columns)).long()


class AnswersEverybodyAlike(Linear):
    def prepare(self, inputs: Bags) -> Any:
        return torch.ones(inputs.size, WIDTH)


class IgnoresWeights(Linear):
    def prepare(self, inputs: Bags) -> Any:
        return (super().prepare(inputs) > 0).float()


class WeighsByPlace(Linear):
    """The last entry of a bag counts more than the first."""

    def prepare(self, inputs: Bags) -> Any:
        place = torch.arange(len(inputs.indices)) - inputs.offsets[:-1][inputs.rows()]
        return super().prepare(inputs.reweighted(inputs.weights * (1 + place)))


class SeesTheOthers(Linear):
    def prepare(self, inputs: Bags) -> Any:
        state = super().prepare(inputs)
        return state - state.mean(0)


class KeepsTheFirst(Linear):
    """Remembers what was prepared, and answers with it ever after."""

    def prepare(self, inputs: Bags) -> Any:
        if not hasattr(self, "state"):
            self.state = super().prepare(inputs)
        return self.state


class AnswersThroughOneState(Linear):
    """Scores what was prepared last, whatever state is given."""

    def prepare(self, inputs: Bags) -> Any:
        self.last = super().prepare(inputs)
        return self.last

    def scores(self, state: Any, columns: Any = None) -> Tensor:
        return super().scores(self.last, columns)


class ChangesItsInput(Linear):
    def prepare(self, inputs: Bags) -> Any:
        state = super().prepare(inputs)
        inputs.weights.mul_(0.5)
        return state


class IsRandom(Linear):
    def __init__(self) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(1)

    def scores(self, state: Any, columns: Any = None) -> Tensor:
        clean = super().scores(state, columns)
        return clean + 0.1 * torch.randn(clean.shape, generator=self.generator)


class IgnoresColumns(Linear):
    def scores(self, state: Any, columns: Any = None) -> Tensor:
        wanted = super().scores(state, columns).shape[1]
        return super().scores(state)[:, :wanted]


class SortsColumns(Linear):
    def scores(self, state: Any, columns: Any = None) -> Tensor:
        return super().scores(state, columns.sort().values if isinstance(columns, Tensor) else columns)


class ShiftsSlices(Linear):
    """A slice that does not start at 0 is taken from its neighbours."""

    def scores(self, state: Any, columns: Any = None) -> Tensor:
        if isinstance(columns, slice) and columns.start:
            columns = (torch.arange(WIDTH)[columns] + 1) % WIDTH
        return super().scores(state, columns)


class LendsItsScores(Linear):
    """Answers the same tensor each time, which a caller then overwrites."""

    def prepare(self, inputs: Bags) -> Any:
        return Linear.scores(self, super().prepare(inputs))

    def scores(self, state: Any, columns: Any = None) -> Tensor:
        return state if columns is None else state[:, columns]


RANKERS = [
    LacksAColumn,
    AnswersNan,
    AnswersWholeNumbers,
    AnswersEverybodyAlike,
    IgnoresWeights,
    WeighsByPlace,
    SeesTheOthers,
    KeepsTheFirst,
    AnswersThroughOneState,
    ChangesItsInput,
    IsRandom,
    IgnoresColumns,
    SortsColumns,
    ShiftsSlices,
    LendsItsScores,
]

Answers = Callable[[Neighbours], Neighbours]


def _swapped(found: Neighbours) -> Neighbours:
    order = torch.tensor([1, 0, *range(2, found.rows.shape[1])])
    return Neighbours(found.rows[:, order], found.scores[:, order])


def _ties_turned(found: Neighbours) -> Neighbours:
    """Equal scores by falling row."""
    rows = torch.where(found.rows == 6, 7, torch.where(found.rows == 7, 6, found.rows))
    return Neighbours(rows, found.scores)


FAULTS: dict[str, tuple[set[str], Answers]] = {
    "seen columns are answered": ({"exclude"}, lambda found: found),
    "forbidden columns are answered": ({"allow"}, lambda found: found),
    "the second comes first": (set(), _swapped),
    "equal scores come in falling order": (set(), _ties_turned),
    "rows are not those of the scores": (set(), lambda found: Neighbours(found.rows.roll(1, 0), found.scores)),
    "scores are those of another scale": (set(), lambda found: Neighbours(found.rows, found.scores * 2)),
    "one column is answered twice": (
        set(),
        lambda found: Neighbours(found.rows[:, [0, *range(found.rows.shape[1] - 1)]], found.scores),
    ),
    "places that nothing fills hold a row": (set(), lambda found: Neighbours(found.rows.clamp(min=0), found.scores)),
}


def test_broken_rankers_are_found() -> None:
    contracts = {kind.__name__: type("Contract", (LinearContract,), {"kind": kind}) for kind in RANKERS}
    assert [name for name, contract in contracts.items() if not failures(contract)] == []


def test_broken_rankings_are_found() -> None:
    assert [name for name, (ignored, change) in FAULTS.items() if not failures(answering(ignored, change))] == []


def answering(ignored: set[str], change: Answers) -> type[LinearContract]:
    """The contract of something that ignores filters, or changes what is found."""

    def best(self: Any, *args: Any, **options: Any) -> Neighbours:
        return change(RankerContract.best(self, *args, **{k: v for k, v in options.items() if k not in ignored}))

    return type("Contract", (LinearContract,), {"best": best})


def test_weights_may_be_ignored_where_that_is_said() -> None:
    contract = type("Contract", (LinearContract,), {"kind": IgnoresWeights, "reads_weights": False})
    assert failures(contract) == []


def failures(contract: type[LinearContract]) -> list[str]:
    """The tests of a contract that fail, each asked of a ranker of its own."""
    found = []
    for name in sorted(name for name in dir(contract) if name.startswith("test_")):
        marks = getattr(getattr(contract, name), "pytestmark", [])
        for options in [{mark.args[0]: value} for mark in marks for value in mark.args[1]] or [{}]:
            try:
                getattr(contract(), name)(**options)
            except Exception:
                found.append(name)
    return found
