"""Events in order, against plain lists: read, selected, split, merged, saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import RUN

from isthmus import bundle
from isthmus.errors import BundleError, ColumnError
from isthmus_interactions import Interactions, Recommender
from isthmus_interactions.ordered_histories import OrderedHistories
from isthmus_interactions.splits import leave_last_out, strong, weak

Event = tuple[str, str, int]
events = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("vwxyz"), st.integers(0, 5)), min_size=1)
reproducible = settings(derandomize=True, max_examples=25, deadline=None)


def table(rows: list[Event], *, timed: bool = True) -> pa.Table:
    names = ("user", "item", "time")[: 3 if timed else 2]
    return pa.table({name: [row[place] for row in rows] for place, name in enumerate(names)})


def expected(rows: list[Event], *, timed: bool = True) -> dict[str, list[tuple[str, int | None]]]:
    """Every user's items in order: Python's sort is stable."""
    found: dict[str, list[tuple[str, int | None]]] = {}
    for user, item, time in sorted(rows, key=lambda row: row[2]) if timed else rows:
        found.setdefault(user, []).append((item, time if timed else None))
    return found


def listed(data: Interactions) -> dict[str, list[tuple[str, int | None]]]:
    histories = data.histories
    assert histories is not None
    assert len(histories) == len(data)
    found = {}
    for row, user in enumerate(data.users.take(range(len(data)))):
        times = histories.times_of(row)
        known = [None] * int(histories.lengths[row]) if times is None else times.tolist()
        found[str(user)] = list(zip(data.items.take(histories.items_of(row)), known, strict=True))
    return found


def in_step(data: Interactions) -> bool:
    """Each event has a cell, and each cell an event."""
    assert data.histories is not None
    pairs = set(zip(data.histories.owners().tolist(), data.histories.items.tolist(), strict=True))
    return pairs == set(zip(*(part.tolist() for part in data.matrix.nonzero()), strict=True))


@reproducible
@given(events, st.booleans())
def test_reading_keeps_every_event_in_order(rows: list[Event], timed: bool) -> None:
    data = Interactions.read(table(rows, timed=timed), ordered=not timed)
    assert listed(data) == expected(rows, timed=timed)
    assert in_step(data)
    assert data.histories is not None
    assert data.histories.events == len(rows)
    latest = {(user, item): max(t for u, i, t in rows if (u, i) == (user, item)) for user, item, _ in rows}
    order = [latest[pair] for pair in sorted(latest)]
    assert (None if data.times is None else data.times.tolist()) == (order if timed else None)


@reproducible
@given(events, st.lists(st.sampled_from("vwxyz"), unique=True, min_size=1), st.randoms(use_true_random=False))
def test_selections_stay_in_step(rows: list[Event], items: list[str], random: Any) -> None:
    data = Interactions.read(table(rows))
    users = [row for row in range(len(data)) if random.random() < 0.5]
    some = data.select_users(np.array(users, dtype=np.int64))
    whole = expected(rows)
    assert listed(some) == {user: whole[user] for user in map(str, data.users.take(users))}
    known = [place for place, item in enumerate(data.items.take(range(len(data.items)))) if item in items]
    narrow = data.select_items(np.array(known[::-1], dtype=np.int64))
    assert listed(narrow) == {user: [event for event in own if event[0] in items] for user, own in whole.items()}
    mask = np.array([random.random() < 0.5 for _ in range(data.nnz)], dtype=bool)
    part = data.select_entries(mask)
    assert in_step(some)
    assert in_step(narrow)
    assert in_step(part)
    kept = set(zip(*(p.tolist() for p in part.matrix.nonzero()), strict=True))
    place = {user: row for row, user in enumerate(data.users.take(range(len(data))))}
    column = {item: row for row, item in enumerate(data.items.take(range(len(data.items))))}
    assert listed(part) == {
        user: [event for event in own if (place[user], column[event[0]]) in kept] for user, own in whole.items()
    }


def fitted(data: Interactions) -> Recommender:
    return Recommender.fit(data, "popularity", validation=0.0, run=RUN)


@pytest.mark.slow
@reproducible
@given(events, events, st.booleans())
def test_an_update_is_one_reading_of_both(old: list[Event], new: list[Event], timed: bool) -> None:
    before = fitted(Interactions.read(table(old, timed=timed), ordered=not timed))
    after = before.update(table(new, timed=timed), run=RUN)
    histories = after.ordered_histories
    assert histories is not None
    assert histories.unit == ("as given" if timed else None)
    users, items = after.adapter.users, after.adapter.items
    for user, own in expected(old + new, timed=timed).items():
        row = int(users.rows([user])[0])
        times = histories.times_of(row)
        assert items.take(histories.items_of(row)) == [item for item, _ in own]
        assert (None if times is None else times.tolist()) == ([time for _, time in own] if timed else None)


ROWS: list[Event] = [("a", "x", 3), ("b", "y", 1), ("a", "y", 1), ("a", "x", 2), ("b", "x", 1)]


def test_nothing_is_kept_where_nobody_asks() -> None:
    assert Interactions.read(table(ROWS, timed=False)).histories is None
    assert Interactions.read(table(ROWS), time="").histories is None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (table(ROWS), table(ROWS[:2], timed=False)),
        (table(ROWS), pa.table({"user": ["a"], "item": ["x"], "time": pa.array([7], pa.timestamp("s"))})),
    ],
    ids=["without times", "dates after numbers"],
)
def test_times_that_do_not_compare_leave_an_order(first: pa.Table, second: pa.Table) -> None:
    after = fitted(Interactions.read(first)).update(Interactions.read(second, ordered=True), run=RUN)
    histories = after.ordered_histories
    assert histories is not None
    assert (histories.times, histories.unit) == (None, None)
    assert after.adapter.items.take(histories.items_of(0)) == ["y", "x", "x", "x"]


def test_an_old_recommender_without_order_gets_none() -> None:
    after = fitted(Interactions.read(table(ROWS, timed=False))).update(Interactions.read(table(ROWS)), run=RUN)
    assert after.ordered_histories is None


def test_new_items_without_order_follow(caplog: pytest.LogCaptureFixture) -> None:
    new = Interactions.read(table([("a", "z", 0), ("a", "v", 0)], timed=False))
    after = fitted(Interactions.read(table(ROWS))).update(new, run=RUN)
    assert after.ordered_histories is not None
    assert after.adapter.items.take(after.ordered_histories.items_of(0)) == ["y", "x", "x", "v", "z"]
    assert "order" in caplog.text


@pytest.mark.parametrize(("kind", "unit"), [(pa.int64(), "as given"), (pa.float64(), "as given"), ("date", "us")])
def test_units_and_types_survive_a_bundle(tmp_path: Path, kind: Any, unit: str) -> None:
    stamps = pa.array([5, 3, 4], pa.timestamp("ms") if kind == "date" else kind)
    data = Interactions.read(pa.table({"user": [1, 1, 2], "item": [1, 2, 1], "time": stamps}))
    fitted(data).save(tmp_path / "a")
    found, given = Recommender.load(tmp_path / "a").ordered_histories, data.histories
    assert found is not None
    assert given is not None
    assert found.unit == given.unit == unit
    for name in ("offsets", "items", "times"):
        one, other = getattr(found, name), getattr(given, name)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    assert found.times_of(0).tolist() == ([3000, 5000] if unit == "us" else [3, 5])


def test_a_bundle_holds_an_order_only_where_there_is_one(tmp_path: Path) -> None:
    fitted(Interactions.read(table(ROWS, timed=False))).save(tmp_path / "a")
    assert not [name for name in bundle.read(tmp_path / "a").tensors if name.startswith("histories")]
    assert Recommender.load(tmp_path / "a").ordered_histories is None


def test_damaged_histories_are_refused(subtests: pytest.Subtests, tmp_path: Path) -> None:
    for name, value in [
        ("histories.offsets", None),
        ("histories.offsets", np.array([0, 2, 5], np.int32)),
        ("histories.offsets", np.array([0, 5])),
        ("histories.offsets", np.array([0, 6, 5])),
        ("histories.items", np.array([0, 1, 2, 1, 0], np.int32)),
        ("histories.items", np.array([0, -1, 0, 1, 0], np.int32)),
        ("histories.times", None),
        ("histories.times", np.array([3, 2, 1, 1, 1])),
        ("histories.times", np.array([1, 2, 3], np.int64)),
    ]:
        with subtests.test(name=name, value=value):
            fitted(Interactions.read(table(ROWS))).save(tmp_path / "a")
            saved = bundle.read(tmp_path / "a")
            tensors = {key: tensor for key, tensor in saved.tensors.items() if key != name}
            if value is not None:
                tensors[name] = torch.from_numpy(value)
            manifest = saved.manifest
            bundle.write(
                tmp_path / "b",
                plugin=manifest.plugin,
                builder=manifest.builder,
                settings=manifest.settings,
                tensors=tensors,
                documents=saved.documents,
                facts=manifest.facts,
            )
            with pytest.raises(BundleError):
                Recommender.load(tmp_path / "b")


def test_splits_carry_the_order() -> None:
    generator = np.random.default_rng(0)
    rows = [(f"u{u}", f"i{i}", int(t)) for t, (u, i) in enumerate(generator.integers(0, 30, (2000, 2)))]
    data = Interactions.read(table(rows))
    whole = expected(rows)
    for split in (strong(data, held_out=5), weak(data, validation=0.1), leave_last_out(data)):
        assert in_step(split.train)
        for fold in (split.validation, split.test):
            assert fold is not None
            assert fold.ordered is not None
            for row, user in enumerate(fold.users):
                shown = set(split.train.items.take(fold.history[[row]].indices.tolist()))
                events = split.train.items.take(fold.ordered.items_of(row))
                assert events == [item for item, _ in whole[str(user)] if item in shown]


def test_the_last_one_out_where_only_the_order_is_known() -> None:
    rows = [("a", item, 0) for item in "xyzxv"] + [("b", item, 0) for item in "zv"]
    split = leave_last_out(Interactions.read(table(rows, timed=False), ordered=True))
    items = split.train.items
    assert split.validation is not None
    assert items.take(split.test.held_out.indices.tolist()) == ["v"]
    assert items.take(split.validation.held_out.indices.tolist()) == ["x"]
    with pytest.raises(ColumnError, match="ordered=True"):
        leave_last_out(Interactions.read(table(rows, timed=False)))


def test_taking_nobody_and_nothing() -> None:
    histories = OrderedHistories.of(np.array([1, 0, 1]), np.array([4, 2, 3]), None, 3)
    taken = histories.take([2, -1, 1, 1])
    assert [taken.items_of(row).tolist() for row in range(4)] == [[], [], [4, 3], [4, 3]]
    assert len(histories.take([])) == 0
