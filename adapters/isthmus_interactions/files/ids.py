"""Encodes ids of any kind as dense codes, batch by batch, with the distinct ids of all batches at the end.

``isthmus.ids`` defines valid ids. A column of a text file is read as text. If every id in it is written as an integer,
including ``1.0``, the ids are integers; otherwise they stay text, so that ``007`` is never read as ``7``. Typed columns
(Parquet, Arrow, data frames) keep their type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.errors import ColumnError, ValueRangeError
from isthmus.ids import INTEGER_TEXT, MISSING, UUID_BYTES
from isthmus.vocabulary import Vocabulary
from isthmus_interactions.files.growing_array import GrowingArray

Codes = npt.NDArray[np.int32]


EXACT = {16: 2**11, 32: 2**24, 64: 2**53}
"""Above these values, floats of this many bits cannot represent every integer."""


@dataclass(frozen=True)
class Coded:
    """One id for every row: ``ids[codes[row]]``; some ids may be unused.

    Attributes:
        codes: int32, one for each row.
        ids: distinct ids, int64, uint64 or large_string, in the order of first appearance.
        text: whether the ids come from a text file, where integers are written as text.
    """

    codes: Codes
    ids: pa.Array
    text: bool

    def kept(self, mask: npt.NDArray[np.bool_]) -> Coded:
        """The rows where ``mask`` is true."""
        return Coded(self.codes[mask], self.ids, self.text)

    def numbered(self) -> tuple[Codes, Vocabulary]:
        """Rows of the used ids, integers ascending or text in code point order, and their vocabulary."""
        present = np.zeros(len(self.ids), dtype=bool)
        present[self.codes] = True
        places, ids = self.places(present)
        return places[self.codes], Vocabulary(ids.to_numpy(zero_copy_only=False))

    def places(self, present: npt.NDArray[np.bool_]) -> tuple[Codes, pa.Array]:
        """The row of each used id, 0 for others, and the used ids in the order of the rows.

        Args:
            present: whether an id is used, aligned with ``ids``.
        """
        ids = self.ids.filter(pa.array(present))
        # "1" and "1.0" are one integer.
        distinct = (_as_integers(ids) if self.text else ids).dictionary_encode()
        order = pc.sort_indices(distinct.dictionary)
        rank = np.empty(len(order), dtype=np.int32)
        rank[order.to_numpy()] = np.arange(len(order), dtype=np.int32)
        places = np.zeros(len(self.ids), dtype=np.int32)
        places[present] = rank[distinct.indices.to_numpy()]
        return places, distinct.dictionary.take(order)


@runtime_checkable
class Ids(Protocol):
    """The ids of one column as they are read, in memory or in a file; see ``IdColumn``."""

    @property
    def missing_words(self) -> set[str]:
        """The texts that stood for a missing id, such as NULL."""

    def encode(self, column: pa.Array) -> pa.DictionaryArray:
        """Dictionary codes of one batch; null where the id is missing."""

    def add(self, encoded: pa.DictionaryArray) -> None:
        """Append a batch without nulls."""

    def coded(self) -> Coded | None:
        """All batches as one; None if there was no row."""


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
        self.missing_words: set[str] = set()
        """The texts that stood for a missing id, such as NULL."""

    def encode(self, column: pa.Array) -> pa.DictionaryArray:
        """Dictionary codes of one batch; null where the id is missing: null, NaN, and the texts of ``ids.MISSING``.

        Raises:
            ColumnError: the column's type cannot hold ids.
            ValueRangeError: a number that is not an integer of 64 bits, or bytes that are not text.
        """
        encoded = _as_ids(column, self._name).dictionary_encode()
        if pa.types.is_integer(encoded.type.value_type):
            return encoded
        ids = pc.utf8_trim_whitespace(encoded.dictionary)
        absent = pc.is_in(ids, pa.array(sorted(MISSING), ids.type))
        indices = encoded.indices
        if pc.any(absent).as_py():
            self.missing_words.update(filter(None, ids.filter(absent).to_pylist()))
            indices = pc.if_else(absent.take(indices), pa.scalar(None, indices.type), indices)
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
    """The column as int64, uint64 or large_string."""
    column = _plain(column)
    kind = column.type
    if pa.types.is_uint64(kind):
        return column
    if pa.types.is_integer(kind) or pa.types.is_null(kind):
        return column.cast(pa.int64())
    if pa.types.is_floating(kind):
        return _whole(column, name)
    if pa.types.is_decimal(kind):
        return _as_integer_type(column, name)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _valid(column.cast(pa.large_string()), name)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return _decoded(column.cast(pa.large_binary()), name)
    if pa.types.is_fixed_size_binary(kind):
        return _fixed(column, name)
    raise ColumnError(f"column {name!r} of type {kind}", expected="ids that are integers or text")


def _plain(column: pa.Array) -> pa.Array:
    """Decode dictionary and run-length encodings; UUIDs become text."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_run_end_encoded(column.type):
        column = pc.run_end_decode(column)
    if isinstance(column.type, pa.BaseExtensionType):
        uuid = str(getattr(column.type, "extension_name", "")) == "arrow.uuid"
        column = _uuids(column.storage) if uuid else column.storage
    return column


def _whole(column: pa.Array, name: str) -> pa.Array:
    exact = float(EXACT[column.type.bit_width])
    numbers = column.cast(pa.float64())
    numbers = pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)
    rounded = numbers.filter(pc.and_(pc.greater_equal(pc.abs(numbers), exact), pc.is_finite(numbers)))
    if len(rounded):
        raise ValueRangeError(
            f"column {name!r} holds {rounded[0].as_py():.0f} as a float, which has lost its last digits",
            expected="64-bit integers or text",
            remedy="read the column as integers or text, in pandas with dtype='Int64' or dtype=str",
        )
    return _as_integer_type(numbers, name)


def _as_integer_type(column: pa.Array, name: str) -> pa.Array:
    reason = ""
    for kind in (pa.int64(), pa.uint64()):
        try:
            return column.cast(kind)
        except pa.ArrowInvalid as error:
            reason = reason or str(error)
    raise ValueRangeError(
        f"column {name!r} holds a number that cannot be an id ({reason})",
        expected="64-bit integers or text",
        remedy="write the ids as integers, or as text",
    )


def _decoded(column: pa.Array, name: str) -> pa.Array:
    return _valid(column.cast(pa.large_string(), safe=False), name)


def _valid(texts: pa.Array, name: str) -> pa.Array:
    try:
        texts.validate(full=True)
        return texts
    except pa.ArrowInvalid:
        raise ValueRangeError(
            f"column {name!r} holds bytes that are not UTF-8 text",
            expected="ids that are integers or text",
            remedy="write the bytes as text, such as id.hex()",
        ) from None


def _fixed(column: pa.Array, name: str) -> pa.Array:
    """Text of a fixed length, or UUIDs, which Parquet and databases hold as 16 bytes."""
    try:
        texts = _decoded(column.cast(pa.large_binary()), name)
    except ValueRangeError:
        if column.type.byte_width != UUID_BYTES:
            raise
        return _uuids(column)
    readable = column.type.byte_width != UUID_BYTES or pc.all(pc.utf8_is_printable(texts), min_count=0).as_py()
    return texts if readable else _uuids(column)


def _uuids(storage: pa.Array) -> pa.Array:
    distinct = storage.dictionary_encode()
    texts = [None if one is None else str(UUID(bytes=one)) for one in distinct.dictionary.to_pylist()]
    return pa.array(texts, pa.large_string()).take(distinct.indices)


def _as_integers(ids: pa.Array) -> pa.Array:
    """Integers if every text is an integer of 64 bits; otherwise the texts."""
    if not pc.all(pc.match_substring_regex(ids, INTEGER_TEXT), min_count=0).as_py():
        return ids
    plain = pc.replace_substring_regex(ids, r"\.0+$", "")
    for kind in (pa.int64(), pa.uint64()):
        try:
            return plain.cast(kind)
        except pa.ArrowInvalid:
            continue
    return ids
