"""External id <-> row, frozen, written without pickle.

Ids are int64 or string, never both: the vocabulary stores which.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from isthmus.errors import InputError, UnknownIdError
from isthmus.reprs import counted, described
from isthmus.similar_texts import similar_texts

Kind = Literal["int64", "string"]
Id = int | str
Rows = npt.NDArray[np.int64]


class Vocabulary:
    """A frozen list of distinct ids; an id's position is its row.

    Args:
        ids: distinct ids, in row order; integers (or an integer array) or strings.

    Raises:
        InputError: ids of mixed or other types, or an id twice.
    """

    def __init__(self, ids: Iterable[Id] | npt.NDArray[np.generic]) -> None:
        self._ids = _as_array(ids)
        if len(self._rows) != len(self._ids):
            values, counts = np.unique(self._ids, return_counts=True)
            raise InputError(f"id {values[counts > 1][0]!r} occurs more than once", expected="distinct ids")

    @property
    def kind(self) -> Kind:
        """Which type the ids have."""
        return "int64" if self._ids.dtype == np.int64 else "string"

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
        return isinstance(id_, int | str) and id_ in self._rows

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.kind == other.kind and np.array_equal(self._ids, other._ids)

    __hash__ = None  # type: ignore[assignment]

    def rows(self, ids: Iterable[Id]) -> Rows:
        """Rows of the given ids.

        Raises:
            UnknownIdError: an id that is not in the vocabulary.
        """
        rows, unknown = self.split(ids)
        if unknown:
            raise UnknownIdError(
                f"unknown id {unknown[0]!r}" + (f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""),
                expected=f"one of {len(self):,} {self.kind} ids such as {self._example()}",
                remedy=self._meant(unknown[0]),
            )
        return rows

    def split(self, ids: Iterable[Id]) -> tuple[Rows, list[Id]]:
        """Rows of the known ids, and the ids that are unknown, each in the order given."""
        rows, unknown = [], []
        for id_ in ids:
            plain = id_.item() if isinstance(id_, np.generic) else id_
            row = self._rows.get(plain) if isinstance(plain, int | str) else None
            if row is None:
                unknown.append(plain)
            else:
                rows.append(row)
        return np.asarray(rows, dtype=np.int64), unknown

    def take(self, rows: Sequence[int] | Rows) -> list[Id]:
        """Ids of the given rows, as plain Python values."""
        taken: list[Id] = self._ids[np.asarray(rows, dtype=np.int64)].tolist()
        return taken

    def extended(self, ids: Iterable[Id]) -> Vocabulary:
        """A vocabulary with the unknown ones among ``ids`` appended; old ids keep their rows."""
        _, unknown = self.split(ids)
        return Vocabulary([*self._ids.tolist(), *dict.fromkeys(unknown)])

    def to_json(self) -> str:
        """The whole vocabulary as one JSON document."""
        return json.dumps({"kind": self.kind, "ids": self._ids.tolist()}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Vocabulary:
        """The inverse of ``to_json``.

        Raises:
            InputError: not such a document.
        """
        try:
            document = json.loads(text)
            kind, ids = document["kind"], document["ids"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise InputError("not a vocabulary document", expected='{"kind": ..., "ids": [...]}') from None
        if not isinstance(ids, list) or kind not in ("int64", "string"):
            raise InputError("not a vocabulary document", expected='{"kind": "int64" or "string", "ids": [...]}')
        vocabulary = cls(ids if ids else np.empty(0, np.int64 if kind == "int64" else object))
        if vocabulary.kind != kind:
            raise InputError(f"vocabulary says {kind} and holds {vocabulary.kind} ids", expected="one type of id")
        return vocabulary

    def _meant(self, unknown: Id) -> str:
        """What may have been meant by an unknown id, as a question."""
        if self.kind == "int64":
            number = str(unknown)
            near: list[Id] = [int(number)] if number.isdecimal() and int(number) in self else []
        else:
            known = self._ids.tolist()
            near = [known[row] for row in similar_texts(str(unknown), known, 1)]
        return f"did you mean {near[0]!r}?" if near else ""

    def _example(self) -> str:
        return ", ".join(repr(id_) for id_ in self._ids[:3].tolist())


def _as_array(ids: Iterable[Id] | npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    given = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
    if not given:
        array: npt.NDArray[np.generic] = np.empty(0, ids.dtype if isinstance(ids, np.ndarray) else np.int64)
    elif all(type(id_) is str for id_ in given):
        array = np.array(given, dtype=object)
    elif all(isinstance(id_, int | np.integer) and not isinstance(id_, bool) for id_ in given):
        array = _as_int64(given)
    else:
        odd = next(id_ for id_ in given if type(id_) is not type(given[0]) or not isinstance(id_, int | str))
        raise InputError(f"id {odd!r} of type {type(odd).__name__}", expected="all ids int64 or all ids strings")
    array.flags.writeable = False
    return array


def _as_int64(given: list[Id]) -> npt.NDArray[np.generic]:
    try:
        return np.array(given, dtype=np.int64)
    except OverflowError:
        raise InputError("an integer id does not fit in 64 bits", expected="int64, or strings") from None
