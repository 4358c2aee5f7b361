"""Histories as callers give them: in order, with repetitions, with times in any form that the training data compare."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from isthmus.batch import Bag, Bags, Histories, TokenRows, Tokens, require_bags, require_tokens
from isthmus.cli.ids import IdReader
from isthmus.core.rankers import Blend
from isthmus.errors import InputError, ValueRangeError
from isthmus.vocabulary import Vocabulary
from isthmus_interactions import Interactions
from isthmus_interactions.baselines import Popularity
from isthmus_interactions.order.inputs import HistorySource, Reads, all_rows, reads_of, source_of
from isthmus_interactions.recommend.histories import history_batch

DAY = 86_400
JANUARY = 1_704_067_200  # 2024-01-01, in seconds


def data(times: list[Any], **options: Any) -> Interactions:
    """One user with items a, b, a, c and their times."""
    return Interactions.read(pa.table({"user": ["u"] * 4, "item": ["a", "b", "a", "c"], "time": times}), **options)


SECONDS = [JANUARY + day * DAY for day in range(4)]
DATES = [f"2024-01-0{day}" for day in range(1, 5)]


def asked(histories: list[Any], known: Interactions) -> list[tuple[list[Any], list[float] | None]]:
    """The items of each history in order, and their times."""
    ordered = history_batch(histories, known.items, known.histories).ordered
    assert ordered is not None
    found = []
    for row in range(len(ordered)):
        times = ordered.times_of(row)
        found.append((known.items.take(ordered.items_of(row)), None if times is None else times.tolist()))
    return found


@pytest.mark.parametrize(
    ("times", "second"),
    [
        (SECONDS, SECONDS[1]),
        ([float(time) for time in SECONDS], float(SECONDS[1])),
        ([time * 1000 for time in SECONDS], SECONDS[1] * 1000),
        (DATES, SECONDS[1] * 1_000_000),
    ],
)
@pytest.mark.parametrize(
    "date",
    [
        "2024-01-02",
        "2024-01-02T01:00:00+01:00",
        datetime.date(2024, 1, 2),
        datetime.datetime(2024, 1, 2),
        datetime.datetime(2024, 1, 2, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1))),
        np.datetime64("2024-01-02"),
    ],
)
def test_dates_come_in_the_unit_of_the_training_data(times: list[Any], second: float, date: Any) -> None:
    known = data(times)
    ((items, found),) = asked([[("b", date), ("a", "2024-01-01")]], known)
    assert items == ["a", "b"]
    assert found is not None
    assert found[1] == second
    assert type(found[1]) is type(second)


def test_order_and_repetitions_are_kept_without_times_and_pairs_are_sorted() -> None:
    known = data(SECONDS)
    assert asked([["c", "a", "?", "c"], []], known) == [(["c", "a", "c"], None), ([], None)]
    pairs = [("c", SECONDS[3]), ("?", SECONDS[2]), ("c", SECONDS[0]), ("a", SECONDS[1])]
    assert asked([pairs, []], known) == [(["c", "a", "c"], [SECONDS[0], SECONDS[1], SECONDS[3]]), ([], [])]
    # Without times in training those of the history only sort.
    untimed = data(SECONDS, time="", ordered=True)
    assert asked([pairs], untimed) == [(["c", "a", "c"], None)]
    # A mapping holds weights.
    batch = history_batch([{"a": 2.0, "b": 0.5}], known.items, known.histories)
    assert batch.bags.weights.tolist() == [2.0, 0.5]


@pytest.mark.parametrize(
    ("times", "history", "error", "message"),
    [
        (DATES, [("a", 5)], InputError, "dates such as"),
        ([1, 2, 3, 4], [("a", "2024-01-02")], InputError, "no clock"),
        (SECONDS, [("a", float("nan"))], ValueRangeError, "nan"),
        (SECONDS, [("a", "yesterday")], ValueRangeError, "yesterday"),
        (SECONDS, [("a", True)], ValueRangeError, "True"),
        (SECONDS, [("a", None)], ValueRangeError, "None"),
        (SECONDS, [("a", 1e300)], ValueRangeError, "1e\\+300"),
        (SECONDS, [("a", SECONDS[0]), "b"], InputError, "some of its items"),
    ],
)
def test_times_that_cannot_be_compared(
    times: list[Any], history: list[Any], error: type[Exception], message: str
) -> None:
    known = data(times)
    with pytest.raises(error, match=message):
        history_batch([history], known.items, known.histories)


def test_histories_with_and_without_times() -> None:
    known = data(SECONDS)
    with pytest.raises(InputError, match="without"):
        history_batch([["a"], [("a", SECONDS[0])]], known.items, known.histories)


def test_interactions_are_converted_or_lose_their_times() -> None:
    known = data(SECONDS)
    ordered = history_batch(data(DATES), known.items, known.histories).ordered
    assert ordered is not None
    assert ordered.times is not None
    assert ordered.times.tolist() == SECONDS
    ordered = history_batch(data([1, 2, 3, 4]), known.items, known.histories).ordered
    assert ordered is not None
    assert ordered.times is None
    assert ordered.events == 4


def test_a_source_gives_each_model_what_it_reads() -> None:
    known = data(SECONDS)
    whole = source_of(known.matrix, known.histories, Reads(bags=True, ages=True, length=2))
    inputs = all_rows(whole)
    assert isinstance(whole, HistorySource)
    assert isinstance(inputs, Histories)
    bags, tokens = require_bags(inputs, "a test"), require_tokens(inputs, "a test")
    # a (events 0 and 2), b (event 1), c (event 3)
    assert bags.ages is not None
    assert bags.ages.tolist() == [1, 2, 0]
    assert bags.times is not None
    assert bags.times.tolist() == [SECONDS[2], SECONDS[1], SECONDS[3]]
    assert tokens.ids.tolist() == [[0, 2]]
    assert tokens.times is not None
    assert tokens.times.tolist() == [SECONDS[2:]]
    assert isinstance(all_rows(source_of(known.matrix, None, Reads())), Bags)
    assert isinstance(all_rows(source_of(known.matrix, known.histories, Reads(bags=False, length=3))), TokenRows)
    with pytest.raises(InputError, match="ordered=True"):
        source_of(known.matrix, None, Reads(ages=True))


class Last(Popularity):
    """Ranks what a history ends with, and reads one item only."""

    signal = Tokens(3, 1)

    def prepare(self, inputs: Any) -> Any:
        tokens = require_tokens(inputs, "a test")
        assert tokens.ids.shape[1] == 1
        return tokens.ids[:, 0]

    def scores(self, state: Any, columns: Any = None) -> torch.Tensor:
        whole = torch.nn.functional.one_hot(state, self.width).float()
        return whole[:, slice(None) if columns is None else columns]


def test_a_blend_of_both_kinds_reads_both() -> None:
    known = data(SECONDS)
    model = Blend([Last(torch.zeros(3)), Popularity(torch.tensor([0.1, 0.2, 0.3]))])
    model.weigh([1.0, 1.0], [0.0, 0.0])
    assert reads_of(model) == Reads(bags=True, length=1)
    inputs = all_rows(source_of(known.matrix, known.histories, replace_length(reads_of(model), 4)))
    scores = model.scores(model.prepare(inputs))
    assert scores.tolist() == [pytest.approx([0.1, 0.2, 1.3])]
    assert Bag(3).width == model.width


def replace_length(reads: Reads, length: int) -> Reads:
    """The same, for longer rows than the part reads."""
    return Reads(reads.bags, reads.ages, reads.timed, length)


def test_histories_as_typed() -> None:
    reader = IdReader(Vocabulary(["a", "b"]), "--history", timed=True)
    typed = ['[["a", "2024-01-02"], ["b", "2024-01-01"]]', '[{"item": "a", "time": 5}]', '[["a", 2.0]]', "b,a"]
    assert reader.lists(typed) == [[("a", "2024-01-02"), ("b", "2024-01-01")], [("a", 5)], {"a": 2.0}, ["b", "a"]]
    untimed = IdReader(Vocabulary(["a", "b"]), "--allow")
    for text in typed[:2]:
        with pytest.raises(InputError, match="--allow"):
            untimed.flat([text])


@pytest.mark.parametrize(
    "history", [["b", "a", "b"], ("b", "a", "b"), np.array(["b", "a", "b"]), np.array(["b", "a", "b"], dtype=object)]
)
def test_known_ids_are_read_alike_at_once_and_one_by_one(history: Any) -> None:
    known = data(SECONDS)
    at_once, one_by_one = history_batch([history], known.items), history_batch([["b", np.str_("a"), "b"]], known.items)
    for batch in (at_once, one_by_one):
        assert batch.bags.indices.tolist() == known.items.rows(["b", "a"]).tolist()
        assert batch.bags.weights.tolist() == [1.0, 1.0]
        assert batch.unknown == [[]]
    assert at_once.ordered is not None
    assert one_by_one.ordered is not None
    assert (
        at_once.ordered.items.tolist()
        == one_by_one.ordered.items.tolist()
        == known.items.rows(["b", "a", "b"]).tolist()
    )
