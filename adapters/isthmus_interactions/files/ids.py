"""Ids of any kind to dense codes, a batch at a time; the distinct ids of all batches at the end.

A column of a text file is read as text. If every id in it is written as a plain integer the ids are int64, else they
stay text, so ``007`` is never taken for ``7``. Typed columns (Parquet, Arrow, data frames) keep their type.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.errors import ColumnError, ValueRangeError
from isthmus.vocabulary import Vocabulary
from isthmus_interactions.files.growing_array import GrowingArray

Codes = npt.NDArray[np.int32]

_PLAIN_INTEGER = r"^(0|-?[1-9][0-9]{0,17})$"


@dataclass(frozen=True)
class Coded:
    """One id for every row: ``ids[codes[row]]``; some ids may be used by no row.

    Attributes:
        codes: int32, one for each row.
        ids: distinct ids, int64 or large_string, in the order of first appearance.
        text: whether the ids come from a text file, where integers are written as text.
    """

    codes: Codes
    ids: pa.Array
    text: bool

    def kept(self, mask: npt.NDArray[np.bool_]) -> Coded:
        """The rows where ``mask`` is true."""
        return Coded(self.codes[mask], self.ids, self.text)

    def numbered(self) -> tuple[Codes, Vocabulary]:
        """Rows of the ids that are in use, integers ascending or text in code point order, and their vocabulary.

        Raises:
            ValueRangeError: text that is not UTF-8.
        """
        present = np.zeros(len(self.ids), dtype=bool)
        present[self.codes] = True
        ids = self.ids.filter(pa.array(present))
        if self.text:
            ids = _as_integers(ids)
        order = pc.sort_indices(ids)
        try:
            vocabulary = Vocabulary(ids.take(order).to_numpy(zero_copy_only=False))
        except pa.ArrowException as error:
            raise ValueRangeError(f"an id is not UTF-8 text ({error})", expected="integers or UTF-8 text") from None
        rank = np.zeros(len(self.ids), dtype=np.int32)
        rank[np.flatnonzero(present)[order.to_numpy()]] = np.arange(len(ids), dtype=np.int32)
        return rank[self.codes], vocabulary


class IdColumn:
    """The ids of one column as they are read, a batch at a time.

    Args:
        name: the column, for messages.
        text: whether it comes from a text file.
    """

    def __init__(self, name: str, *, text: bool) -> None:
        self._name, self._text = name, text
        self._codes = GrowingArray()
        self._ids: list[pa.Array] = []
        self._seen = 0

    def encode(self, column: pa.Array) -> pa.DictionaryArray:
        """Dictionary codes of one batch; null where the id is missing (null, NaN, an empty or blank text).

        Raises:
            ColumnError: the column's type cannot hold ids.
            ValueRangeError: a number that is not a 64-bit integer.
        """
        encoded = _as_ids(column, self._name).dictionary_encode()
        if pa.types.is_int64(encoded.type.value_type):
            return encoded
        ids = pc.utf8_trim_whitespace(encoded.dictionary) if self._text else encoded.dictionary
        blank = pc.equal(ids, "")
        indices = encoded.indices
        if pc.any(blank).as_py():
            indices = pc.if_else(blank.take(indices), pa.scalar(None, indices.type), indices)
        return pa.DictionaryArray.from_arrays(indices, ids)

    def add(self, encoded: pa.DictionaryArray) -> None:
        """Append a batch without nulls."""
        self._codes.add(encoded.indices.to_numpy() + np.int32(self._seen))
        self._ids.append(encoded.dictionary)
        self._seen += len(encoded.dictionary)

    def coded(self) -> Coded | None:
        """All batches as one, which empties this column; None if there was no row."""
        together = pa.concat_arrays(self._ids).dictionary_encode()
        code: Codes = together.indices.to_numpy()
        codes = self._codes.take_array(lambda page: code[page])
        return None if codes is None else Coded(codes, together.dictionary, self._text)


def _as_ids(column: pa.Array, name: str) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_null(kind):
        return _as_int64(column, name)
    if pa.types.is_floating(kind):
        return _as_int64(pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column), name)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return column.cast(pa.large_string())
    raise ColumnError(f"column {name!r} of type {kind}", expected="ids that are integers or text")


def _as_int64(column: pa.Array, name: str) -> pa.Array:
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise ValueRangeError(
            f"column {name!r} holds a number that cannot be an id ({error})",
            expected="64-bit integers or text",
            remedy="write the ids as integers, or as text",
        ) from None


def _as_integers(ids: pa.Array) -> pa.Array:
    plain = pc.match_substring_regex(ids, _PLAIN_INTEGER)
    return ids.cast(pa.int64()) if pc.all(plain, min_count=0).as_py() else ids
