"""Sorts events by user with a counting sort in two passes over files.

The first pass counts the events of each user, which determines their positions. The second pass distributes the events
to buckets of consecutive users, each small enough for memory; a bucket is then sorted with the code for whole tables,
``files.cells`` and ``OrderedHistories``, and appended.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from isthmus.disk.mapped import pieces
from isthmus.errors import ValueRangeError
from isthmus_interactions.files.assemble import negative, nothing_left
from isthmus_interactions.files.cells import Cells
from isthmus_interactions.files.read import Events
from isthmus_interactions.files.reading import Weights
from isthmus_interactions.files.threshold import Keep
from isthmus_interactions.ordered_histories import OrderedHistories
from isthmus_interactions.store.layout import StoreWriter

BUCKET = 1 << 23
"""Number of events per bucket; each takes about 60 bytes while the bucket is sorted."""

MOST = 2**31 - 1
"""Maximum number of events: with 4-byte columns, SciPy counts the entries of matrices in 32 bits."""

Mask = npt.NDArray[np.bool_]


@dataclass
class Counted:
    """The result of the first pass.

    Attributes:
        users: number of events of each id in the column of users.
        items: whether each id in the column of items has any events.
        untimed: number of rows without a requested time.
        filtered: number of rows that the rule removed.
        zeros: number of rows with value 0.
    """

    users: npt.NDArray[np.int64]
    items: Mask
    untimed: int = 0
    filtered: int = 0
    zeros: int = 0

    @property
    def left(self) -> int:
        """The number of events that count."""
        return int(self.users.sum())


class CountingSort:
    """Sorts events.

    Args:
        events: the events as read, memory-mapped.
        untimed: mask of the rows without a requested time.
        keep: the rule for values.
        weights: content of a cell.
    """

    def __init__(self, events: Events, untimed: Mask | None, keep: Keep, weights: Weights) -> None:
        self._events, self._untimed, self._keep, self._weights = events, untimed, keep, weights

    def counted(self) -> Counted:
        """The first pass.

        Raises:
            SourceError: no row counts.
            ValueRangeError: a row that counts has a value below 0, or there are too many.
        """
        events, found = self._events, self._nothing()
        for piece in pieces(len(events)):
            mask = self._chosen(piece, found)
            users, items = events.users.codes[piece], events.items.codes[piece]
            users, items = (users, items) if mask is None else (users[mask], items[mask])
            found.users += np.bincount(users, minlength=len(found.users))
            found.items[items] = True
        if not found.left:
            raise nothing_left(events.name, self._keep, found.filtered, found.zeros)
        if found.left > MOST:
            raise ValueRangeError(
                f"{found.left:,} events", expected=f"at most {MOST:,} in one store", remedy="split them by users"
            )
        return found

    def write(self, found: Counted, writer: StoreWriter, scratch: Path, *, ordered: bool) -> None:
        """The second pass.

        Args:
            found: result of the first pass.
            writer: writes users, items and rows.
            scratch: a folder for the buckets.
            ordered: whether the order of events is kept.
        """
        (user_rows, users), (item_rows, items) = (
            self._events.users.places(found.users > 0),
            self._events.items.places(found.items),
        )
        writer.ids(users, items)
        lengths = np.zeros(len(users), dtype=np.int64)
        np.add.at(lengths, user_rows[found.users > 0], found.users[found.users > 0])
        bucket_of = ((np.cumsum(lengths) - lengths) // BUCKET).astype(np.uint16)
        buckets = int(bucket_of[-1]) + 1
        firsts = np.searchsorted(bucket_of, np.arange(buckets + 1))
        paths = [scratch / f"bucket-{number}.bin" for number in range(buckets)]
        self._distribute(user_rows, item_rows, bucket_of, paths)
        for number, path in enumerate(paths):
            rows = np.fromfile(path, self._type())
            path.unlink()
            first, stop = int(firsts[number]), int(firsts[number + 1])
            self._append(rows, first, stop - first, items, writer, ordered=ordered)

    def _nothing(self) -> Counted:
        users, items = len(self._events.users.ids), len(self._events.items.ids)
        return Counted(np.zeros(users, np.int64), np.zeros(items, bool))

    def _chosen(self, piece: slice, found: Counted | None = None) -> Mask | None:
        """Which rows of a piece count, None for all; counts the others."""
        mask, values = None, self._events.values
        if self._untimed is not None:
            mask = ~self._untimed[piece]
        stages = [0 if mask is None else int((~mask).sum())]
        if values is not None:
            here = values[piece]
            mask = _both(mask, self._keep.mask(here))
            stages.append(0 if mask is None else int((~mask).sum()))
            if ((here < 0) if mask is None else (here < 0) & mask).any():
                raise negative(self._events, self._keep)
            if self._weights != "binary":
                mask = _both(mask, here > 0)
        stages.append(0 if mask is None else int((~mask).sum()))
        if found is not None:
            found.untimed += stages[0]
            found.filtered += stages[-2] - stages[0]
            found.zeros += stages[-1] - stages[-2]
        return mask

    def _type(self) -> np.dtype[Any]:
        events = self._events
        fields: list[tuple[str, Any]] = [("user", np.int32), ("item", np.int32)]
        fields += [] if events.values is None or self._weights == "binary" else [("value", np.float32)]
        fields += [] if events.times is None else [("time", events.times.dtype)]
        return np.dtype(fields)

    def _distribute(
        self,
        user_rows: npt.NDArray[np.int32],
        item_rows: npt.NDArray[np.int32],
        bucket_of: npt.NDArray[np.uint16],
        paths: list[Path],
    ) -> None:
        """Append each event to the file of its bucket, in the order of the table."""
        with ExitStack() as stack:
            files = [stack.enter_context(path.open("wb")) for path in paths]
            for rows in self._rows(user_rows, item_rows):
                bucket = bucket_of[rows["user"]]
                if len(files) > 1:
                    order = np.argsort(bucket, kind="stable")
                    rows, bucket = rows[order], bucket[order]
                ends = np.searchsorted(bucket, np.arange(len(files) + 1))
                for number, file in enumerate(files):
                    file.write(rows[ends[number] : ends[number + 1]].view(np.uint8).data)

    def _rows(self, user_rows: npt.NDArray[np.int32], item_rows: npt.NDArray[np.int32]) -> Iterator[npt.NDArray[Any]]:
        """The events that count, in blocks, with rows and columns of the matrix."""
        events, kind = self._events, self._type()
        for piece in pieces(len(events)):
            mask = self._chosen(piece)
            columns: dict[str, npt.NDArray[Any]] = {
                "user": user_rows[events.users.codes[piece]],
                "item": item_rows[events.items.codes[piece]],
            }
            columns |= (
                {} if "value" not in (kind.names or ()) or events.values is None else {"value": events.values[piece]}
            )
            columns |= {} if events.times is None else {"time": events.times[piece]}
            rows = np.empty(piece.stop - piece.start if mask is None else int(mask.sum()), kind)
            for name, column in columns.items():
                rows[name] = column if mask is None else column[mask]
            yield rows

    def _append(
        self, rows: npt.NDArray[Any], first: int, users: int, items: pa.Array, writer: StoreWriter, *, ordered: bool
    ) -> None:
        """Sort a bucket and append it."""
        owners, columns = rows["user"] - np.int32(first), np.ascontiguousarray(rows["item"])
        names = rows.dtype.names or ()
        if ordered or "time" in names:
            times = np.ascontiguousarray(rows["time"]) if "time" in names else None
            writer.histories(OrderedHistories.of(owners, columns, times, users, self._events.unit))
        values = np.ascontiguousarray(rows["value"]) if "value" in names else None
        matrix = Cells(owners, columns, values, (users, len(items))).merged(counted=self._weights != "binary")
        if self._weights == "log":
            matrix.data = np.log1p(matrix.data)
        writer.matrix(matrix)


def _both(one: Mask | None, other: Mask | None) -> Mask | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other
