"""Merges old and new interactions: old ids keep their rows, new ids follow."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from isthmus.errors import InputError, ValueRangeError
from isthmus.ids import Id, integer_of
from isthmus.reprs import brief
from isthmus.vocabulary import Vocabulary
from isthmus_interactions.csr import Csr, Ints, csr_of, row_of_entry
from isthmus_interactions.files.report import Report
from isthmus_interactions.files.times.units import epoch_unit
from isthmus_interactions.fitted import FittedRecommender
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.ordered_histories import OrderedHistories

logger = logging.getLogger(__name__)


@brief
@dataclass(frozen=True, eq=False)
class MergedData:
    """Old and new data together.

    Attributes:
        data: old and new interactions.
        fresh: which of its entries are new, aligned with ``data.matrix.data``.
    """

    data: Interactions
    fresh: npt.NDArray[np.bool_]


def merge(old: FittedRecommender, new: Interactions) -> MergedData:
    """Merge old and new interactions.

    A cell that is in both becomes 1 if weights are ``binary``, the sum if they are ``value``, and log(1 + sum) of the
    original amounts if they are ``log``, as if all rows had been read at once. Ordered histories are merged in the same
    way if the old ones are known: new events are sorted in by time. If one of the two has no times, or times in another
    unit, new events follow the old ones and only the order is kept.

    Args:
        old: the recommender so far; ``facts["weights"]`` is the rule for cells.
        new: interactions of old and new users with old and new items.

    Raises:
        InputError: no interactions, or ids of another kind (text instead of numbers, or the reverse).
        ValueRangeError: a sum does not fit in 32 bits.
    """
    adapter, known, facts = old.adapter, old.interactions, old.facts
    if not new.nnz:
        raise InputError("no new interactions", expected="at least one")
    new_users, new_items = ids_like(new.users, adapter.users, "users"), ids_like(new.items, adapter.items, "items")
    users, items = adapter.users.extended(new_users), adapter.items.extended(new_items)
    shape, rule = (len(users), len(items)), str(facts.get("weights", "binary"))
    places = (users.rows(new_users)[row_of_entry(new.matrix)], items.rows(new_items)[new.matrix.indices])
    ends = np.pad(known.indptr, (0, len(users) - known.shape[0]), mode="edge")

    def both(old_values: npt.NDArray[Any], new_values: npt.NDArray[Any]) -> Any:
        added = csr_array((old_values, known.indices, ends), shape=shape) + csr_array((new_values, places), shape)
        added.sort_indices()
        return added

    marks = both(np.ones(known.nnz, np.int8), np.full(new.nnz, 2, np.int8))
    cells = both(_amounts(known, rule), _amounts(new.matrix, new.report.weights))
    matrix = csr_of(row_of_entry(cells), cells.indices, _weighed(cells.data, rule), shape)
    report = remembered(facts, matrix.nnz)
    histories = _histories(old, new, users.rows(new_users), items.rows(new_items), len(users))
    return MergedData(Interactions(users, items, matrix, histories, report), marks.data == 2)


def remembered(facts: Mapping[str, Any], rows: int) -> Report:
    """The report of training data, from what a recommender knows of how they were read.

    Args:
        facts: of the recommender.
        rows: number of interactions.
    """
    about: dict[str, Any] = {"why": str(facts.get("kept", ""))}
    about |= {"columns": facts.get("columns", {}), "file": facts.get("file", {})}
    return Report(rows, keep=str(facts.get("keep", "all")), weights=str(facts.get("weights", "binary")), **about)


def comparable_times(before: OrderedHistories, later: OrderedHistories) -> bool:
    """Whether both have times, in the same unit as far as that can be known."""
    if before.times is None or later.times is None or before.unit != later.unit:
        return False
    units = {epoch_unit(before.times), epoch_unit(later.times)} - {None}
    return before.unit != "as given" or len(units) < 2


def _histories(
    old: FittedRecommender, new: Interactions, rows: Ints, columns: Ints, users: int
) -> OrderedHistories | None:
    before, later = old.histories, new.histories
    if before is None:
        return None
    if later is None:
        logger.warning("the new interactions have no order; in histories they follow the old ones, sorted by item")
        later = OrderedHistories.of(row_of_entry(new.matrix), new.matrix.indices, None, len(new))
    timed = comparable_times(before, later)
    if before.times is not None and not timed:
        logger.warning("the new interactions have no times, or times in another unit; only the order of events is kept")
    return before.followed_by(later, rows, columns, users, timed=timed)


def _amounts(matrix: Csr, weights: str) -> npt.NDArray[np.float64]:
    exact = matrix.data.astype(np.float64)
    return np.expm1(exact) if weights == "log" else exact


def _weighed(amounts: npt.NDArray[np.float64], weights: str) -> npt.NDArray[np.float32]:
    if weights == "binary":
        return np.ones(len(amounts), np.float32)
    with np.errstate(over="ignore"):
        values = (np.log1p(amounts) if weights == "log" else amounts).astype(np.float32)
    if not np.isfinite(values).all():
        raise ValueRangeError(
            "the values of one user and item add up to more than fits in 32 bits", expected="a smaller sum"
        )
    return values


def ids_like(new: Vocabulary, old: Vocabulary, what: str) -> list[Id]:
    """Convert new ids to the type of the old ones. A file that happens to contain only integer ids is read as numbers,
    while other files of the same catalogue may be read as text, and the reverse.

    Args:
        new: ids as they were read.
        old: ids of the recommender.
        what: the kind of ids, for the error message.

    Returns:
        The new ids, in their order.

    Raises:
        InputError: the ids cannot be converted.
    """
    ids = [old.held(id_) for id_ in new.ids.tolist()]
    if (new.kind == "string") != (old.kind == "string"):
        # All new texts must be numbers; among old texts a single number shows that numbers are ids there, too.
        numbers = [integer_of(str(id_)) is not None for id_ in old.ids.tolist()] if old.kind == "string" else []
        if not (any(numbers) or (old.kind != "string" and all(type(id_) is int for id_ in ids))):
            raise InputError(
                f"ids of {what} such as {new.ids.tolist()[0]!r}",
                expected=f"{old.kind} ids such as {old.ids.tolist()[0]!r}, as in the training data",
            )
    return ids
