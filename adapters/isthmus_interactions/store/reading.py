"""Reads the events of many files, one after the other, into columns on disk; resumes after an interruption."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from isthmus.errors import ColumnError
from isthmus.reprs import counted
from isthmus_interactions.files.columns import Columns
from isthmus_interactions.files.read import EventReader, Events, columns_of
from isthmus_interactions.files.tables import Table, events_in
from isthmus_interactions.files.times.column import TimeColumn
from isthmus_interactions.files.values import ValueColumn
from isthmus_interactions.store.keeping import Scratch, SpilledArray, SpilledIds
from isthmus_interactions.store.parts import Part

logger = logging.getLogger(__name__)

PROGRESS = "progress.json"
FORMAT = 1

OFTEN = 1 << 20
"""Minimum number of rows between checkpoints, which are written at the end of a file."""

PER_ID = 4
"""The same for each distinct id so far, because all ids are written again each time."""

Asked = Mapping[str, str | None]
"""Columns by role, as for ``find_columns``."""


class StoreReader:
    """Reads parts.

    Args:
        parts: parts in order.
        asked: the named columns.
        folder: folder for the data that are read; the data of an earlier reader of the same parts are reused.
        told: called with a line about each part.
    """

    def __init__(self, parts: Sequence[Part], asked: Asked, folder: Path, told: Callable[[str], None]) -> None:
        self._parts, self._asked, self._told = parts, asked, told
        self._scratch = Scratch(folder)
        self._tables: list[Table] = []
        self._starts: list[int] = []
        self._rows = self._done = 0
        self._columns: Columns | None = None
        self._saved = 0

    def read(self) -> tuple[Events, npt.NDArray[np.bool_] | None]:
        """The events of all parts, memory-mapped, and a mask of the rows without a requested time; see ``EventReader``.

        Raises:
            InputError: the errors of ``Interactions.read``; or a file with other columns than the first one.
        """
        table = self._parts[0].open()
        self._begin(table, self._known())
        for place in range(self._done, len(self._parts)):
            table = table if place == 0 else self._parts[place].open()
            self._read_part(place, table)
        assert self._columns is not None
        last = EventReader(table, self._columns, *self._kept, rows=self._rows)
        events, untimed = last.timed_or_not()
        name = self._parts[0].name if len(self._parts) == 1 else counted(len(self._parts), "file")
        return replace(events, name=name), untimed

    def _begin(self, table: Table, known: Mapping[str, Any] | None) -> None:
        columns = self._columns = columns_of(table, **self._asked)
        keep, self._text = self._scratch, table.text
        codes = [keep.new(), keep.new()] if known is None else [keep.again(known[one]["codes"]) for one in _IDS]
        self._users, self._items = (
            SpilledIds(name, text=table.text, codes=kept)
            for name, kept in zip((columns.user, columns.item), codes, strict=True)
        )
        numbers = None
        if columns.value is not None:
            kept = keep.new() if known is None else keep.again(known["values"]["numbers"])
            numbers = (kept, ValueColumn(columns.value, self._where, kept))
        self._numbers = numbers
        asked = bool(self._asked["time"])
        times = columns.time
        self._times = None if times is None else TimeColumn(times, self._where, asked=asked, make=keep.new)
        if known is not None:
            self._restore(known)

    @property
    def _kept(self) -> tuple[SpilledIds, SpilledIds, ValueColumn | None, TimeColumn | None]:
        return self._users, self._items, None if self._numbers is None else self._numbers[1], self._times

    def _read_part(self, place: int, table: Table) -> None:
        part = self._parts[place]
        columns = columns_of(table, **self._asked) if place else self._columns
        if columns is None or columns != self._columns or table.text != self._text:
            raise ColumnError(
                f"{part.name!r} has other columns than {self._parts[0].name!r}: {columns}",
                expected=str(self._columns),
                remedy="name the columns, or make one store of files of one kind",
            )
        self._tables.append(table)
        self._starts.append(self._rows)
        reader = EventReader(table, columns, *self._kept, rows=self._rows)
        for batch in events_in(table, columns):
            reader.add(batch)
        self._rows, self._done = reader.rows, place + 1
        ids = self._users.distinct + self._items.distinct
        if self._rows - self._saved >= max(OFTEN, PER_ID * ids) or self._done == len(self._parts):
            self._save()
        if len(self._parts) > 1:
            self._told(f"{self._done} of {len(self._parts)} files read, {counted(self._rows, 'row')}")

    def _where(self, row: int, name: str | None = None) -> str:
        """The name of a row of all parts in messages."""
        place = bisect_right(self._starts, row) - 1
        skipped = len(self._starts) - len(self._tables)
        if place < skipped:
            told = f"row {row - self._starts[place] + 1:,}" + ("" if name is None else f", column {name!r}")
            return f"{self._parts[place].name}: {told}"
        told = self._tables[place - skipped].where(row - self._starts[place], name)
        return told if len(self._parts) == 1 else f"{self._parts[place].name}: {told}"

    def _known(self) -> Mapping[str, Any] | None:
        """The state of an interrupted reader of the same parts; the folder is emptied if there is none."""
        path = self._scratch.folder / PROGRESS
        if path.exists():
            found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if found.get("key") == _key(self._parts[: found.get("done", 0)], self._asked):
                return found
        for old in self._scratch.folder.iterdir():
            if old.is_file():
                old.unlink()
        return None

    def _restore(self, known: Mapping[str, Any]) -> None:
        folder = self._scratch.folder
        for name, ids in zip(_IDS, (self._users, self._items), strict=True):
            ids.restore(known[name], folder)
        if self._numbers is not None:
            self._numbers[1].restore(known["values"])
        if self._times is not None:
            self._times.restore(known["times"], self._scratch.again)
        self._starts, self._rows, self._done = list(known["starts"]), known["rows"], known["done"]
        self._saved = self._rows
        self._told(f"{self._done} of {len(self._parts)} files were read before an interruption")

    def _save(self) -> None:
        """Write a checkpoint, unless the parts cannot be recognised later."""
        folder, number, key = self._scratch.folder, self._done, _key(self._parts[: self._done], self._asked)
        if key is None:
            return
        state: dict[str, Any] = {"key": key, "done": number, "rows": self._rows, "starts": self._starts}
        for name, ids in zip(_IDS, (self._users, self._items), strict=True):
            state[name] = ids.save(folder / f"{name}-{number}.arrow")
        if self._numbers is not None:
            state["values"] = {**self._numbers[1].state(), "numbers": self._numbers[0].state()}
        if self._times is not None:
            state["times"] = self._times.state(_told_of)
        fresh = folder / f"{PROGRESS}.new"
        fresh.write_text(json.dumps(state), encoding="utf-8")
        os.replace(fresh, folder / PROGRESS)
        self._saved = self._rows
        for old in folder.glob("*.arrow"):
            if not old.name.endswith(f"-{number}.arrow"):
                old.unlink()


_IDS = ("users", "items")


def _told_of(column: Any) -> dict[str, Any]:
    assert isinstance(column, SpilledArray)
    return column.state()


def _key(parts: Sequence[Part], asked: Asked) -> str | None:
    """A key that identifies the rows that are read; None if they cannot be identified."""
    if any(part.stamp is None for part in parts):
        return None
    said = {"format": FORMAT, "parts": [part.stamp for part in parts], "asked": dict(asked)}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
