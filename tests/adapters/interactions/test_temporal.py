"""Splits along one clock, against plain lists; and leaks that are planted and must be refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from planted import RUN

from isthmus.errors import ColumnError, InputError, SettingError
from isthmus_interactions import Interactions, Recommender
from isthmus_interactions.order.holdout import hold_out
from isthmus_interactions.order.sessions import sessions
from isthmus_interactions.order.temporal import before, check_before, temporal
from isthmus_interactions.splits import FoldIn

DAY = 86_400
START = 1_704_067_200

# u is known before day 5 and has two events after it; v is new; w has only old events; n is a new item.
ROWS: list[tuple[str, str, int]] = [
    ("u", "a", 0),
    ("u", "b", 1),
    ("u", "c", 6),
    ("u", "d", 7),
    ("v", "a", 5),
    ("v", "b", 8),
    ("w", "c", 2),
    ("w", "d", 3),
    ("x", "a", 4),
    ("x", "n", 9),
    ("y", "b", 1),
    ("y", "b", 9),
]


def read(rows: list[tuple[str, str, int]] = ROWS, **options: Any) -> Interactions:
    table = {name: [row[place] for row in rows] for place, name in enumerate(("user", "item"))}
    return Interactions.read(pa.table({**table, "time": [START + row[2] * DAY for row in rows]}), **options)


def listed(fold: FoldIn, items: list[Any]) -> list[tuple[Any, list[Any], list[Any]]]:
    """User, history in order and what is to be found, of each row."""
    assert fold.ordered is not None
    found = []
    for row, user in enumerate(fold.users):
        asked = fold.held_out.indices[fold.held_out.indptr[row] : fold.held_out.indptr[row + 1]]
        known = [items[column] for column in fold.ordered.items_of(row)]
        cells = fold.history.indices[fold.history.indptr[row] : fold.history.indptr[row + 1]]
        assert sorted(set(known)) == [items[column] for column in cells]
        found.append((user, known, [items[column] for column in asked]))
    return found


def test_last_and_successive_events_after_a_moment() -> None:
    data = read()
    split = temporal(data, "2024-01-06")
    items = split.train.items.ids.tolist()
    assert items == ["a", "b", "c", "d"]
    assert sorted(split.train.users.ids.tolist()) == ["u", "w", "x", "y"]
    assert listed(split.test, items) == [("u", ["a", "b", "c"], ["d"])]
    assert split.new_users is not None
    assert listed(split.new_users, items) == [("v", ["a"], ["b"])]
    assert split.at == split.test.at == START + 5 * DAY
    assert split.counts == {
        "new_users": 1,
        "new_items": 1,
        "targets_of_new_items": 1,
        "without_history": 0,
        "already_in_history": 1,
    }
    assert len(split.remarks()) == 4
    each = temporal(data, "2024-01-06", "successive")
    assert listed(each.test, items) == [("u", ["a", "b"], ["c"]), ("u", ["a", "b", "c"], ["d"])]
    kept = temporal(data, "2024-01-06", seen="kept")
    assert listed(kept.test, items) == [("u", ["a", "b", "c"], ["d"]), ("y", ["b"], ["b"])]


@pytest.mark.parametrize("at", [START + 5 * DAY, float(START + 5 * DAY), "2024-01-06", 0.5])
def test_a_moment_in_several_forms(at: Any) -> None:
    assert temporal(read(), at).at == START + 5 * DAY


def test_validation_lies_between_training_and_test() -> None:
    split = temporal(read(), "2024-01-08", validation="2024-01-06")
    assert split.train.histories is not None
    assert split.train.histories.times is not None
    assert split.train.histories.times.max() < START + 5 * DAY
    assert split.validation is not None
    assert listed(split.validation, split.train.items.ids.tolist()) == [("u", ["a", "b"], ["c"])]
    assert [row[2] for row in listed(split.test, split.train.items.ids.tolist())] == [["d"]]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"at": "2023-01-01"}, SettingError, "nothing before"),
        ({"at": "2025-01-01"}, SettingError, "nothing from then"),
        ({"at": "soon"}, SettingError, "soon"),
        ({"at": 7.5}, SettingError, "nothing before"),
        ({"at": True}, SettingError, "True"),
        ({"target": "first"}, SettingError, "'last' or 'successive'"),
        ({"seen": "both"}, SettingError, "'masked' or 'kept'"),
        ({"at": "2024-01-04", "validation": "2024-01-06"}, SettingError, "earlier moment"),
        ({"at": START + 9 * DAY}, SettingError, "of new items"),
    ],
)
def test_what_splits_nothing(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        temporal(read(), **options)


def test_times_are_needed() -> None:
    with pytest.raises(ColumnError, match="leave_last_out"):
        temporal(read(time="", ordered=True))


def test_amounts_are_divided_among_their_events() -> None:
    rows = [("u", "a", 2.0, 1), ("u", "a", 4.0, 9), ("v", "a", 1.0, 1)]
    names = ("user", "item", "value", "time")
    table = pa.table({name: [row[place] for row in rows] for place, name in enumerate(names)})
    for weights, amount in (("value", 3.0), ("log", np.log1p(3.0)), ("binary", 1.0)):
        part = before(Interactions.read(table, keep="all", weights=weights, time="time"), 5)
        assert part.matrix.toarray().tolist() == [
            [pytest.approx(amount)],
            [pytest.approx(np.log1p(1) if weights == "log" else 1)],
        ]


def many(users: int = 60, events: int = 8) -> Interactions:
    """Users whose items follow each other in a circle, on one clock."""
    rows = [(f"u{u}", f"i{(u + n) % 12:02d}", n * 60 + u) for u in range(users) for n in range(events)]
    return read(rows)


def test_hold_out_follows_the_data() -> None:
    data = many()
    held = hold_out(data, 0.3, 0)
    assert held.fold is not None
    assert held.fold.at is not None
    assert "next item after" in held.told
    assert held.train.histories is not None
    assert held.train.histories.times is not None
    assert held.train.histories.times.max() < held.fold.at
    assert len(held.train.items) == len(data.items)
    ordered = Interactions(
        data.users,
        data.items,
        data.matrix,
        replace(data.histories, times=None, unit=None),
        data.report,  # type: ignore[type-var]
    )
    held = hold_out(ordered, 0.3, 0)
    assert held.fold is not None
    assert "last item" in held.told
    for user, _, found in listed(held.fold, data.items.ids.tolist()):
        assert found == [f"i{(int(user[1:]) + 7) % 12:02d}"]
        assert user not in held.train.users
    held = hold_out(Interactions(data.users, data.items, data.matrix, None, data.report), 0.3, 0)
    assert "a part of the items" in held.told


def test_a_planted_leak_is_refused() -> None:
    data = many()
    split = temporal(data, 0.7)
    for model in ("popularity", "auto"):
        with pytest.raises(InputError, match="happened at or after"):
            Recommender.fit(data.with_items(split.train.items), model, validation=split.test, run=RUN)
    with pytest.raises(InputError, match="happened at or after"):
        check_before(data, split.at)
    leaked = replace(split.test, at=None)
    with pytest.raises(SettingError, match="are in the training data"):
        Recommender.fit(data.with_items(split.train.items), "popularity", validation=leaked, run=RUN)
    Recommender.fit(split.train, "popularity", validation=split.test, run=RUN)


def test_a_recommender_is_evaluated_on_what_came_after_its_training() -> None:
    data = many()
    late = Recommender.fit(data, "popularity", validation=0.0, run=RUN)
    with pytest.raises(InputError, match="before="):
        late.evaluate(data, ["hit@10"], split="temporal", at=0.7)
    early = Recommender.fit(data, "item_knn", validation=0.0, run=RUN, before=0.7)
    measured = early.evaluate(data, ["hit@10", "mrr@10"], split="temporal")
    split = temporal(data, 0.7)
    assert len(measured.rows) == len(split.test)
    assert "temporal" in measured.protocol
    assert measured.seen == "masked"
    assert set(measured.baselines) == {"popularity", "popularity of the last week", "popularity of the last month"}
    # Only what is new: the histories come from the training data.
    later = data.histories
    assert later is not None
    assert later.times is not None
    rest = later.where(later.times >= split.at)
    new = Interactions(data.users, data.items, rest.matrix(len(data.items)), rest, data.report)
    same = early.evaluate(new, ["hit@10", "mrr@10"], split="temporal")
    assert same.means == measured.means
    with pytest.raises(SettingError, match="split='temporal'"):
        early.evaluate(data, ["hit@10"], at=0.7)


def test_sessions_are_rows_of_their_own() -> None:
    rows = [("s", "a", 0), ("s", "b", 1), ("t", "a", 2), ("t", "c", 5), ("v", "b", 5), ("v", "a", 6), ("v", "a", 7)]
    split = sessions(read(rows), "2024-01-06")
    items = split.train.items.ids.tolist()
    assert items == ["a", "b"]
    assert split.train.matrix.toarray().tolist() == [[1, 1], [1, 0]]
    assert listed(split.test, items) == [("v", ["b"], ["a"]), ("v", ["b", "a"], ["a"])]
    # One user whose events lie far apart.
    gaps = sessions(read([("u", "a", 0), ("u", "b", 1), ("u", "a", 6), ("u", "b", 7)]), "2024-01-06", gap="2d")
    assert len(gaps.train) == 1
    assert [row[1:] for row in listed(gaps.test, ["a", "b"])] == [(["a"], ["b"])]
