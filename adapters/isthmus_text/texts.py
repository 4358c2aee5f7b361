"""``Texts``: a sequence of texts, read from files, tables, lists and iterators, stored as bytes and decoded on
access."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, Unpack, overload

import numpy as np
import numpy.typing as npt

from isthmus.errors import InputError, SettingError, SourceError
from isthmus.files import NOTHING_TOLD, FileOptions, Told, told_in
from isthmus.reprs import counted, described
from isthmus.sources import even_rows
from isthmus_text.files.columns import as_table, is_table, read_column, read_table_column
from isthmus_text.files.packed import PackedTexts, TextPacker
from isthmus_text.files.plain import read_documents, read_lines

Unit = Literal["line", "document"]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False, repr=False)
class Texts(Sequence[str]):
    """An immutable sequence of texts.

    Texts are stored as UTF-8 bytes, in memory up to 64 MiB and memory-mapped otherwise, with 16 bytes of offsets per
    text: ten million lines take 160 MB of memory and are never all Python strings at once.

    Attributes:
        packed: the bytes and the offsets of the texts.
    """

    packed: PackedTexts

    @classmethod
    def read(
        cls,
        source: object,
        *,
        column: str | None = None,
        unit: Unit = "line",
        remembered: Told = NOTHING_TOLD,
        **file: Unpack[FileOptions],
    ) -> Texts:
        """Read texts from files, tables and iterables. Empty texts are kept, so that rows stay aligned.

        Args:
            source: a path, a table or texts. Paths: a text file, a folder of documents (``*.txt``), delimited text
                (CSV, TSV, ...), JSON (one object per line, or an array), optionally compressed, or Parquet. Tables:
                objects with the Arrow PyCapsule interface (pandas, polars, ...). Texts: an iterable of str, which is
                iterated once.
            column: the text column of a table; by default the only one, the one named ``text``, or one whose name or
                content looks like text, which is logged.
            unit: whether a text is a line or a whole file. Lines lose their endings (LF or CRLF) and nothing else; in
                documents CRLF becomes LF.
            remembered: options of another file, used as far as they fit this one.
            file: encoding of a file, and delimiter and header of a table in delimited text, if they are not detected
                correctly. A byte order mark is dropped. The columns of Parquet are always UTF-8.

        A text file above 64 MiB is memory-mapped and must not change while its texts are used.

        Raises:
            SourceError: no file, an unreadable or empty one, or one that is not text.
            ColumnError: a column that is missing, must be specified, or is not text.
            InputError: invalid UTF-8 (the message names line or row), or a text that is not a str.
            SettingError: an unknown unit or encoding, or a column or unit that does not apply to the source.
        """
        if unit not in ("line", "document"):
            raise SettingError(f"unit={unit!r}", expected="'line' or 'document'")
        if isinstance(source, str | Path):
            return cls(_from_path(Path(source), column, unit, told_in(file), remembered))
        if told_in(file).said():
            raise SettingError(f"{' and '.join(told_in(file).said())} for {type(source).__name__}", expected="a file")
        table = as_table(source)
        if table is not None:
            return cls(read_table_column(table, column))
        if column is not None:
            raise SettingError(f"column={column!r} for a {type(source).__name__}", expected="a file or a table")
        return cls(_from_iterable(source))

    @classmethod
    def of(cls, records: object) -> Texts:
        """The records themselves if they are ``Texts``; otherwise ``read(records)``."""
        return records if isinstance(records, Texts) else cls.read(records)

    def __len__(self) -> int:
        return len(self.packed.starts)

    def __repr__(self) -> str:
        return described(self, counted(len(self), "text"))

    def __iter__(self) -> Iterator[str]:
        for block in self.blocks():
            yield from block

    @overload
    def __getitem__(self, row: int) -> str: ...

    @overload
    def __getitem__(self, row: slice) -> Texts: ...

    def __getitem__(self, row: int | slice) -> str | Texts:
        if isinstance(row, slice):
            return self.select(np.arange(len(self))[row])
        place = range(len(self))[row]
        return self.packed.data[self.packed.starts[place] : self.packed.ends[place]].tobytes().decode("utf-8")

    @property
    def size(self) -> int:
        """The total number of bytes."""
        return int((self.packed.ends - self.packed.starts).sum())

    @property
    def empty(self) -> int:
        """The number of empty texts."""
        return int((self.packed.ends == self.packed.starts).sum())

    def select(self, rows: Rows) -> Texts:
        """The given rows, in the given order; the bytes are shared.

        Raises:
            IndexError: a row that does not exist.
        """
        chosen = np.asarray(rows, dtype=np.int64)
        return Texts(PackedTexts(self.packed.data, self.packed.starts[chosen], self.packed.ends[chosen]))

    def subsample(self, count: int) -> Texts:
        """At most ``count`` texts, evenly spaced from the first one on; deterministic."""
        return self if count >= len(self) else self.select(even_rows(len(self), count).numpy())

    def blocks(self, count: int = 8192, size: int = 1 << 24) -> Iterator[list[str]]:
        """All texts in order, as lists of at most ``count`` texts and about ``size`` bytes (a longer text is a list of
        its own)."""
        view = self.packed.data.data
        for first in range(0, len(self), count):
            starts, ends = self.packed.starts[first : first + count], self.packed.ends[first : first + count]
            filled = np.cumsum(ends - starts) // size
            cuts = [0, *(np.flatnonzero(np.diff(filled)) + 1).tolist(), len(starts)]
            places = list(zip(starts.tolist(), ends.tolist(), strict=True))
            for low, high in pairwise(cuts):
                yield [str(view[start:end], "utf-8") for start, end in places[low:high]]


def _from_path(path: Path, column: str | None, unit: Unit, told: Told, remembered: Told) -> PackedTexts:
    if not path.exists():
        raise SourceError(f"no file {str(path)[:200]!r}", expected="a file, a folder, or a list of texts")
    if unit == "document" and (path.is_dir() or column is None):
        return read_documents(path, told)
    if path.is_dir():
        raise SettingError(
            f"{path} is a folder",
            expected="a file of lines",
            remedy="use unit='document' for a folder of documents",
            option="use --documents for a folder of documents",
        )
    if column is not None or is_table(path, told):
        return read_column(path, column, told, remembered)
    return read_lines(path, told)


def _from_iterable(source: object) -> PackedTexts:
    single = isinstance(source, bytes | bytearray | memoryview | Mapping) or getattr(source, "ndim", 1) != 1
    if not isinstance(source, Iterable) or single:
        raise SourceError(f"a {type(source).__name__}", expected="a path, a table or an iterable of str")
    packer = TextPacker()
    for number, text in enumerate(source, 1):
        if not isinstance(text, str):
            raise InputError(f"text {number:,} is a {type(text).__name__} ({str(text)[:50]})", expected="str")
        try:
            packer.add(text.encode("utf-8"))
        except UnicodeEncodeError:
            raise InputError(f"text {number:,} holds half of a surrogate pair", expected="valid Unicode") from None
    return packer.packed("the texts given", "text")
