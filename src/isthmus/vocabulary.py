"""Vocabularies: immutable mappings between external ids and rows, saved without pickle.

Ids are int64 (uint64 if one is above 2^63) or strings, never both; the vocabulary stores which. ``isthmus.ids``
describes the forms in which an id may be given.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from isthmus.errors import InputError, UnknownIdError
from isthmus.ids import Id, forms, in_kind, is_text, plain_id, proper_id
from isthmus.reprs import counted, described
from isthmus.similar_texts import similar_texts

Kind = Literal["int64", "uint64", "string"]
KINDS: tuple[Kind, ...] = ("int64", "uint64", "string")
Rows = npt.NDArray[np.int64]


class Vocabulary:
    """A frozen list of distinct ids; an id's position is its row.

    Args:
        ids: distinct ids, in row order; integers or strings, in the forms that ``isthmus.ids.plain_id`` accepts.

    Raises:
        InputError: ids of mixed or other types, a missing one, a text that UTF-8 cannot encode, or a duplicate.
    """

    def __init__(self, ids: Iterable[Any] | npt.NDArray[np.generic]) -> None:
        self._ids = _as_array(ids)
        # If ids are sorted, as in files and stores, no table of all ids is needed to check that they are distinct.
        if not _ascending(self._ids) and len(self._rows) != len(self._ids):
            values, counts = np.unique(self._ids, return_counts=True)
            raise InputError(f"id {values[counts > 1][0]!r} occurs more than once", expected="distinct ids")

    @property
    def kind(self) -> Kind:
        """The type of the ids."""
        return "string" if self._ids.dtype == object else "uint64" if self._ids.dtype == np.uint64 else "int64"

    @property
    def ids(self) -> npt.NDArray[np.generic]:
        """All ids in row order (read-only)."""
        return self._ids

    @cached_property
    def _rows(self) -> dict[Id, int]:
        return {id_: row for row, id_ in enumerate(self._ids.tolist())}

    def __len__(self) -> int:
        return len(self._ids)

    def __repr__(self) -> str:
        return described(self, f"{counted(len(self), f'{self.kind} id')}, such as {self._example()}")

    def __contains__(self, id_: object) -> bool:
        try:
            return self.find(id_) is not None
        except InputError:
            return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.kind == other.kind and np.array_equal(self._ids, other._ids)

    __hash__ = None  # type: ignore[assignment]

    def find(self, id_: Any) -> int | None:
        """The row of an id in any of its forms; None if it is unknown.

        Raises:
            InputError: a value that cannot be an id, such as a list.
        """
        if type(id_) is int or type(id_) is str:
            row = self._rows.get(id_)
            if row is not None:
                return row
        return next((self._rows[form] for form in forms(id_) if form in self._rows), None)

    def held(self, id_: Any) -> Id:
        """An id in the form of this vocabulary, whether it is known or not. Raises the errors of ``find``."""
        row = self.find(id_)
        if row is None:
            return in_kind(plain_id(id_), self.kind)
        found: Id = self._ids[row : row + 1].tolist()[0]
        return found

    def exact(self, ids: Sequence[Any]) -> list[int] | None:
        """The row of each id, many times as fast as with ``find``; None unless all are known and in the form of the
        vocabulary."""
        if not set(map(type, ids)) <= {int, str}:
            return None
        rows = list(map(self._rows.get, ids))
        return None if None in rows else cast(list[int], rows)

    def places(self, ids: Iterable[Any]) -> Rows:
        """The row of each id, -1 for unknown ones. Raises the errors of ``find``."""
        rows = [self.find(id_) for id_ in ids]
        return np.asarray([-1 if row is None else row for row in rows], dtype=np.int64)

    def rows(self, ids: Iterable[Any]) -> Rows:
        """Rows of the given ids.

        Raises:
            UnknownIdError: an id that is not in the vocabulary.
            InputError: a value that cannot be an id.
        """
        rows, unknown = self.split(ids)
        if unknown:
            raise UnknownIdError(
                f"unknown id {unknown[0]!r}" + (f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""),
                expected=f"one of {len(self):,} {self.kind} ids such as {self._example()}",
                remedy=self._meant(unknown[0]),
            )
        return rows

    def split(self, ids: Iterable[Any]) -> tuple[Rows, list[Id]]:
        """Rows of the known ids, and the ids that are unknown, each in the order given. Raises the errors of
        ``find``."""
        rows, unknown = list[int](), list[Id]()
        for id_ in ids:
            row = self.find(id_)
            if row is None:
                unknown.append(plain_id(id_))
            else:
                rows.append(row)
        return np.asarray(rows, dtype=np.int64), unknown

    def take(self, rows: Sequence[int] | Rows) -> list[Id]:
        """Ids of the given rows, as plain Python values."""
        taken: list[Id] = self._ids[np.asarray(rows, dtype=np.int64)].tolist()
        return taken

    def extended(self, ids: Iterable[Id]) -> Vocabulary:
        """A vocabulary with the unknown ones among ``ids`` appended; existing ids keep their rows."""
        more = dict.fromkeys(in_kind(plain_id(id_), self.kind) if len(self) else id_ for id_ in ids)
        unknown = [id_ for id_ in more if id_ not in self._rows]
        return Vocabulary([*self._ids.tolist(), *unknown]) if unknown else self

    def to_json(self) -> str:
        """The whole vocabulary as one JSON document."""
        return json.dumps({"kind": self.kind, "ids": self._ids.tolist()}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Vocabulary:
        """The inverse of ``to_json``.

        Raises:
            InputError: an invalid document.
        """
        try:
            document = json.loads(text)
            kind, ids = document["kind"], document["ids"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise InputError("not a vocabulary document", expected='{"kind": ..., "ids": [...]}') from None
        if not isinstance(ids, list) or kind not in KINDS:
            raise InputError("not a vocabulary document", expected='{"kind": "int64" or "string", "ids": [...]}')
        vocabulary = cls(ids if ids else empty_ids(kind))
        if vocabulary.kind != kind:
            raise InputError(f"vocabulary says {kind} and holds {vocabulary.kind} ids", expected="one type of id")
        return vocabulary

    def _meant(self, unknown: Id) -> str:
        """A suggestion for an unknown id, as a question."""
        if self.kind != "string":
            return ""
        known = self._ids.tolist()
        near = [known[row] for row in similar_texts(str(unknown), known, 1)]
        return f"did you mean {near[0]!r}?" if near else ""

    def _example(self) -> str:
        return ", ".join(repr(id_) for id_ in self._ids[:3].tolist())


def empty_ids(kind: Kind) -> npt.NDArray[np.generic]:
    """An empty array of ids of a kind."""
    return np.empty(0, object if kind == "string" else kind)


def _ascending(ids: npt.NDArray[Any]) -> bool:
    if ids.dtype == object:
        return all(one < two for one, two in pairwise(ids.tolist()))
    return bool((ids[1:] > ids[:-1]).all())


def _as_array(ids: Iterable[Any] | npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    given = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
    if not given:
        # For an empty array, only the type tells whether its ids are texts.
        text = isinstance(ids, np.ndarray) and ids.dtype.kind in "OUST"
        array: npt.NDArray[np.generic] = empty_ids("string" if text else "int64")
    else:
        array = _of_one_type(given)
    array.flags.writeable = False
    return array


def _of_one_type(given: list[Any]) -> npt.NDArray[np.generic]:
    if not (all(type(id_) is str for id_ in given) or all(type(id_) is int for id_ in given)):
        given = [proper_id(id_) for id_ in given]
    if all(type(id_) is int for id_ in given):
        return _as_integers(given)
    odd = next((id_ for id_ in given if type(id_) is not type(given[0])), None)
    if odd is not None:
        raise InputError(f"id {odd!r} of type {type(odd).__name__}", expected="all ids int64 or all ids strings")
    broken = next((id_ for id_ in given if not is_text(id_)), None)
    if broken is not None:
        raise InputError(
            f"id {broken!r} holds half a character (a lone surrogate)",
            expected="text that UTF-8 can write",
            remedy="read its source with errors='replace'",
        )
    return np.array(given, dtype=object)


def _as_integers(given: list[int]) -> npt.NDArray[np.generic]:
    low, high = min(given), max(given)
    if low >= -(2**63) and high < 2**63:
        return np.array(given, dtype=np.int64)
    if low >= 0 and high < 2**64:
        return np.array(given, dtype=np.uint64)
    raise InputError("an integer id does not fit in 64 bits", expected="int64, or strings")
