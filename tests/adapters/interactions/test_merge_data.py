"""Old and new interactions are what one reading of all rows would be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_array

from isthmus.errors import InputError, SettingError, ValueRangeError
from isthmus_interactions import Interactions
from isthmus_interactions.baselines import Popularity
from isthmus_interactions.files.read_like import read_like
from isthmus_interactions.fitted import FittedRecommender
from isthmus_interactions.update.merge_data import MergedData, merge

OLD = [("b", "y", 4.0), ("b", "z", 5.0), ("d", "y", 5.0), ("d", "y", 4.0), ("d", "x", 1.0)]
NEW = [("b", "y", 5.0), ("a", "w", 4.0), ("d", "w", 5.0), ("d", "z", 2.0)]


def table(rows: list[tuple[Any, Any, float]], *, valued: bool = True) -> pa.Table:
    names = ["user", "item", "rating"][: 3 if valued else 2]
    return pa.table({name: [row[place] for row in rows] for place, name in enumerate(names)})


def facts(data: Interactions) -> dict[str, Any]:
    return {"keep": data.report.keep, "kept": data.report.why, "weights": data.report.weights}


def fitted(data: Interactions) -> FittedRecommender:
    return FittedRecommender.of(data, Popularity.of(data.matrix), "popularity", {}, facts(data))


def merged(old: Interactions, new: object) -> MergedData:
    data = new if isinstance(new, Interactions) else read_like(fitted(old), new)
    return merge(fitted(old), data)


@pytest.mark.parametrize("weights", ["binary", "value", "log"])
def test_joining_is_reading_everything_at_once(weights: Any) -> None:
    old = Interactions.read(table(OLD), keep=">=3", weights=weights)
    both = merged(old, table(NEW))
    assert both.data.users.ids.tolist() == ["b", "d", "a"]
    assert both.data.items.ids.tolist() == ["y", "z", "w"]
    once = Interactions.read(table(OLD + NEW), keep=">=3", weights=weights)
    order = np.ix_(once.users.rows(["b", "d", "a"]), once.items.rows(["y", "z", "w"]))
    np.testing.assert_allclose(both.data.matrix.toarray(), once.matrix.toarray()[order], rtol=1e-6)
    assert both.data.matrix.dtype == np.float32
    assert both.data.matrix.has_canonical_format
    assert both.data.report.keep == ">=3"
    assert both.data.report.weights == weights


def test_what_is_new_is_told() -> None:
    both = merged(Interactions.read(table(OLD), keep=">=3"), table(NEW))
    fresh = both.data.matrix.copy()
    fresh.data = both.fresh.astype(np.float32)
    assert fresh.toarray().tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 1]]


def test_what_did_not_change_keeps_its_weight_to_the_bit() -> None:
    old = Interactions.read(table(OLD), keep="all", weights="log")
    both = merged(old, table([("zz", "w", 3.0)]))
    np.testing.assert_array_equal(both.data.matrix[:2, :3].toarray(), old.matrix.toarray())


def test_the_old_stays_as_it_was() -> None:
    old = Interactions.read(table(OLD), keep="all")
    before = old.matrix.toarray()
    merged(old, table(NEW))
    np.testing.assert_array_equal(old.matrix.toarray(), before)
    assert old.users.ids.tolist() == ["b", "d"]


def test_interactions_come_with_weights_of_their_own() -> None:
    old = Interactions.read(table(OLD), keep="all")
    heavy = Interactions.read(table(NEW), keep="all", weights="value")
    assert set(merged(old, heavy).data.matrix.data.tolist()) == {1.0}
    amounts = Interactions.read(table(OLD), keep="all", weights="value")
    logs = Interactions.read(table(NEW), keep="all", weights="log")
    assert merged(amounts, logs).data.matrix[0, 1] == pytest.approx(9.0)  # b and y: 4 and 5


def test_without_values_every_row_counts() -> None:
    old = Interactions.read(table(OLD), keep=">=3")
    assert read_like(fitted(old), table(NEW, valued=False)).nnz == 4
    assert read_like(fitted(old), table(NEW)).nnz == 3
    assert read_like(fitted(old), table(NEW), keep="all").nnz == 4
    assert read_like(fitted(old), table(NEW), value="").nnz == 4
    with pytest.raises(SettingError, match="no value column"):
        read_like(fitted(old), table(NEW, valued=False), keep=">=3")


def test_columns_may_be_named(tmp_path: Path) -> None:
    place = tmp_path / "new.csv"
    place.write_text("who,what,how\na,w,5\na,v,1\n")
    old = Interactions.read(table(OLD), keep=">=4")
    read = read_like(fitted(old), place, user="who", item="what", value="how")
    assert (read.users.ids.tolist(), read.items.ids.tolist()) == (["a"], ["w"])


def test_numbers_among_texts_and_texts_that_are_numbers() -> None:
    texts = Interactions.read(table([("u1", "7", 5.0), ("u2", "x", 5.0)]), keep="all")
    both = merged(texts, table([("u1", 7, 5.0), ("u2", 8, 5.0)]))
    assert both.data.items.ids.tolist() == ["7", "x", "8"]
    assert both.fresh.sum() == 1
    numbers = Interactions.read(table([("u1", 7, 5.0)]), keep="all")
    assert merged(numbers, table([("u1", "7", 5.0), ("u1", "-9", 5.0)])).data.items.ids.tolist() == [7, -9]


def test_ids_of_another_kind_are_refused(subtests: pytest.Subtests) -> None:
    for old, new in [
        ([("u", 7, 5.0)], [("u", "x", 5.0)]),
        ([("u", 7, 5.0)], [("u", "007", 5.0)]),
        ([("u", "Dune", 5.0)], [("u", 7, 5.0)]),
        ([(1, "Dune", 5.0)], [("u", "Dune", 5.0)]),
        ([("u", "Dune", 5.0)], [(1, "Dune", 5.0)]),
        ([("u", 7, 5.0)], [("u", "9" * 30, 5.0)]),
    ]:
        with subtests.test(old=old, new=new), pytest.raises(InputError, match=r"int64|string|64 bits"):
            merged(Interactions.read(table(old), keep="all"), table(new))


def test_nothing_new_is_refused() -> None:
    old = Interactions.read(table(OLD), keep=">=3")
    with pytest.raises(InputError, match="no row of"):
        merged(old, table([("b", "y", 2.0)]))
    with pytest.raises(InputError, match="no new interactions"):
        merged(old, Interactions.from_csr(csr_array((2, 2)), users=["b", "d"], items=["x", "y"]))


def test_sums_must_fit() -> None:
    huge = Interactions.read(table([("u", "x", 3e38)]), keep="all", weights="value")
    with pytest.raises(ValueRangeError, match="32 bits"):
        merged(huge, table([("u", "x", 3e38)]))
