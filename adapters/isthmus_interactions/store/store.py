"""``InteractionStore``: interactions in memory-mapped arrays on disk."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack, final

import numpy as np
import pyarrow as pa

from isthmus.checked.arguments import path_of
from isthmus.disk import check_writable, new_folder, remove
from isthmus.disk.mapped import constant
from isthmus.disk.scratch import claim, release
from isthmus.errors import BundleError, InputError, SettingError
from isthmus.files import Told
from isthmus.reprs import counted, described, joined
from isthmus.vocabulary import Vocabulary
from isthmus_interactions.csr import Csr, csr_over
from isthmus_interactions.files.assemble import Assembled, rule_of
from isthmus_interactions.files.reading import ROLES, Reading, Weights, columns_told
from isthmus_interactions.files.report import Report
from isthmus_interactions.files.threshold import Keep, parse_keep
from isthmus_interactions.ordered_histories import OrderedHistories
from isthmus_interactions.store import checks, layout
from isthmus_interactions.store.layout import EVENTS, IDS, PAIRS, Manifest, StoreWriter
from isthmus_interactions.store.parts import Part, parts_of
from isthmus_interactions.store.reading import PROGRESS, StoreReader
from isthmus_interactions.store.sorting import CountingSort

logger = logging.getLogger(__name__)

UNFINISHED = ".unfinished"
"""Suffix of the folder with the data that were read, until the store is complete."""


@final
@dataclass(frozen=True, repr=False, eq=False)
class InteractionStore:
    """Interactions of users with items in memory-mapped files. Created by ``create`` or ``open``.

    ``Recommender.fit`` and all other functions that read interactions accept a store, or the path of one; see
    ``Interactions.read``.

    Attributes:
        path: path of the folder.
        manifest: description of the content.
        users: the users, in the order of the rows.
        items: the items, in the order of the columns.
        matrix: SciPy CSR over memory-mapped arrays, float32, shape (users, items).
        histories: all events of each user in order, over memory-mapped arrays; None if the order is unknown.
        report: report of the rows that were read, dropped and merged.
    """

    path: Path
    manifest: Manifest
    users: Vocabulary
    items: Vocabulary
    matrix: Csr
    histories: OrderedHistories | None
    report: Report

    @classmethod
    def create(
        cls,
        source: Any,
        out: str | Path,
        *,
        query: str | None = None,
        told: Callable[[str], None] = logger.info,
        **reading: Unpack[Reading],
    ) -> InteractionStore:
        """Create a store. For any number of events, the memory needed is that of the distinct ids, 16 bytes per user,
        and some hundred MB.

        The result is that of ``Interactions.read`` on all rows at once. If reading files is interrupted, the same call
        continues after the last file whose rows were written down. That happens at the end of a file, as soon as there
        are a million new rows, and four for each distinct id; until the store is whole, the data are kept in
        ``OUT.unfinished``.

        Args:
            source: a file that ``Interactions.read`` accepts, a folder of files, a pattern such as
                ``events/*.parquet``, an address such as ``s3://bucket/events/*.parquet`` (read by DuckDB), a list of
                these, or a table: any object with the Arrow PyCapsule interface, such as a relation of DuckDB. None
                with a query.
            out: path of the store, which must not exist.
            query: statements in DuckDB's SQL, the last of which returns the rows: joins and filters of files, Parquet
                in S3, tables of Postgres, with the user's own credentials.
            told: called with lines about the progress.
            reading: columns, ``keep``, ``weights``, ``ordered`` and the format of text, as for ``Interactions.read``.

        Returns:
            The store, open.

        Raises:
            InputError: the errors of ``Interactions.read``; files with different columns; or ``out`` exists.
            MissingLibraryError: a query or an address, and DuckDB is not installed.
            OSError: for example a full disk.
        """
        place = _new(out)
        asked = Asked.of(reading)
        scratch, lock = _scratch(place)
        try:
            _make(place, parts_of(source, query, asked.file, scratch), asked, scratch, told)
        except KeyboardInterrupt:
            logger.warning("interrupted: the same call goes on from what is in %s", scratch)
            raise
        except InputError:
            # With another rule, or when a file is mended, the files before it need not be read again.
            if not (scratch / PROGRESS).exists():
                remove(scratch)
            raise
        finally:
            release(lock)
        remove(scratch)
        made = cls.open(place)
        made.report.tell(logger)
        return made

    @classmethod
    def open(cls, path: str | Path, *, verify: bool = False) -> InteractionStore:
        """Open a store. Its files are read once to check all indices.

        Args:
            path: path of the folder.
            verify: also compare the SHA-256 of every file with the manifest.

        Raises:
            BundleError: not a store, or one that is incomplete, altered or too new.
        """
        place = path_of("path", path)
        manifest = Manifest.read(place)
        with layout.damage(place):
            _check_files(place, manifest, verify=verify)
            users, items = (_ids(place / name) for name in IDS)
            if (len(users), len(items)) != (manifest.users, manifest.items):
                raise BundleError(f"{len(users):,} users and {len(items):,} items in {str(place)!r}", expected="others")
            return cls(
                place,
                manifest,
                users,
                items,
                _matrix(place, manifest),
                _histories(place, manifest),
                _report(manifest),
            )

    def __len__(self) -> int:
        return self.manifest.users

    def __repr__(self) -> str:
        known = [counted(self.manifest.users, "user"), counted(self.manifest.items, "item")]
        known.append(counted(self.manifest.pairs, "interaction"))
        return described(self, joined([*known, "" if self.histories is None else "in order"]))

    @property
    def parts(self) -> Assembled:
        """Users, items, matrix, histories and report, from which interactions are created."""
        return self.users, self.items, self.matrix, self.histories, self.report


@dataclass(frozen=True)
class Asked:
    """Options for reading the rows of a store.

    Attributes:
        columns: the named columns, by role.
        keep: which values count.
        weights: content of a cell.
        ordered: whether rows are in order.
        file: options of text files.
    """

    columns: Mapping[str, str]
    keep: Keep | None
    weights: Weights
    ordered: bool
    file: Told

    @classmethod
    def of(cls, reading: Reading) -> Asked:
        """The keywords of ``Interactions.read``.

        Raises:
            SettingError: unknown weights, an invalid rule, or keywords for matrices.
        """
        odd = [name for name in ("users", "items") if reading.get(name) is not None]
        if odd:
            raise SettingError(f"{odd[0]}= for a store", expected="the columns of users and items with user=, item=")
        weights = reading.get("weights") or "binary"
        if weights not in ("binary", "value", "log"):
            raise SettingError(f"weights={weights!r}", expected="'binary', 'value' or 'log'")
        file = Told.of(reading.get("encoding"), reading.get("delimiter"), reading.get("header"))
        keep, ordered = parse_keep(reading.get("keep")), bool(reading.get("ordered"))
        return cls(columns_told(reading), keep, weights, ordered, file)


def _make(place: Path, parts: Sequence[Part], asked: Asked, scratch: Path, told: Callable[[str], None]) -> None:
    """Read, sort and write."""
    events, untimed = StoreReader(parts, {role: asked.columns.get(role) for role in ROLES}, scratch, told).read()
    rule = rule_of(events, asked.keep, untimed)
    sort = CountingSort(events, untimed, rule, asked.weights)
    found = sort.counted()
    told(f"sorting {counted(found.left, 'event')}")
    report = Report(
        rows_read=events.rows_read,
        missing_ids=events.rows_read - len(events),
        filtered=found.filtered,
        zeros=found.zeros,
        untimed=found.untimed,
        missing_words=events.missing_words,
        keep=rule.rule,
        why=rule.why,
        weights=asked.weights,
        columns=asked.columns,
        file=asked.file.said(),
    )
    with new_folder(place) as folder:
        writer = StoreWriter(folder, found.left)
        sort.write(found, writer, scratch, ordered=asked.ordered or events.times is not None)
        writer.close(report)


def is_store(path: object) -> bool:
    """Whether a path is a store."""
    return isinstance(path, str | os.PathLike) and os.path.isfile(os.path.join(os.fspath(path), layout.MANIFEST))


def _new(out: str | Path) -> Path:
    place = Path(os.path.realpath(path_of("out", out)))
    if os.path.lexists(place) and (not place.is_dir() or any(place.iterdir())):
        raise InputError(f"{str(out)!r} exists", expected="a new name", remedy="choose another one or move it away")
    check_writable(place)
    return place


def _scratch(place: Path) -> tuple[Path, int | None]:
    """The folder for data that are read, locked against other processes."""
    folder = place.with_name(f"{place.name}{UNFINISHED}")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return folder, claim(folder)
    except BlockingIOError:
        raise InputError(
            f"another process is making {str(place)!r}", remedy="wait for it, or choose another place"
        ) from None


def _check_files(place: Path, manifest: Manifest, *, verify: bool) -> None:
    for name, said in manifest.files.items():
        path = place / Path(name).name
        size = path.stat().st_size if path.is_file() else None
        if size != said["bytes"]:
            raise BundleError(f"{name!r} of {str(place)!r} has {size} bytes", expected=f"{said['bytes']:,}")
        if verify and layout.stamp(path)["sha256"] != said["sha256"]:
            raise BundleError(f"{name!r} of {str(place)!r} was altered", remedy="make the store again")


def _ids(path: Path) -> Vocabulary:
    with pa.OSFile(str(path)) as file:
        column = pa.ipc.open_file(file).read_all()["id"].combine_chunks()
    column.validate(full=True)
    if column.null_count or column.type not in (pa.int64(), pa.uint64(), pa.large_string()):
        raise BundleError(f"{path.name} holds {column.type} ids", expected="int64, uint64 or text, none missing")
    return Vocabulary(column.to_numpy(zero_copy_only=False))


def _matrix(place: Path, manifest: Manifest) -> Csr:
    ends, items = layout.array(place, f"{PAIRS}.ends"), layout.array(place, f"{PAIRS}.items")
    ends = checks.check_ends(np.array(ends), manifest.users, len(items), f"{PAIRS}.ends")
    items = checks.check_items(items, ends, manifest.items, f"{PAIRS}.items", distinct=True)
    if f"{PAIRS}.values.npy" in manifest.files:
        values = checks.check_values(layout.array(place, f"{PAIRS}.values"), len(items), f"{PAIRS}.values")
    else:
        values = constant(np.float32(1), len(items))
    return csr_over(ends, items, values, (manifest.users, manifest.items))


def _histories(place: Path, manifest: Manifest) -> OrderedHistories | None:
    if manifest.events is None:
        return None
    ends, items = layout.array(place, f"{EVENTS}.ends"), layout.array(place, f"{EVENTS}.items")
    ends = checks.check_ends(np.array(ends), manifest.users, len(items), f"{EVENTS}.ends")
    items = checks.check_items(items, ends, manifest.items, f"{EVENTS}.items", distinct=False)
    if manifest.unit is None:
        return OrderedHistories(ends, items)
    times = checks.check_times(layout.array(place, f"{EVENTS}.times"), ends, f"{EVENTS}.times")
    if manifest.unit == "us":
        return OrderedHistories(ends, items, times, "us")
    return OrderedHistories(ends, items, times, "as given")


def _report(manifest: Manifest) -> Report:
    said = dict(manifest.report)
    return Report(**{**said, "missing_words": tuple(said["missing_words"])})
