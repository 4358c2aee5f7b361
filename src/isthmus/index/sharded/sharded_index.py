"""The ``ShardedIndex``: nearest neighbours among vectors that lie in several parts, each of them an ``Index``."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar, Unpack, final

import numpy as np
import numpy.typing as npt

from isthmus.checked.arguments import path_of, whole
from isthmus.disk import new_folder, replaced
from isthmus.errors import InputError
from isthmus.files import FileOptions, told_in
from isthmus.ids import Id
from isthmus.index import vector_files
from isthmus.index.build import require_ids
from isthmus.index.index import Index
from isthmus.index.search import IdArray, Ids, SearchHits, as_queries, reusable
from isthmus.index.sharded import building
from isthmus.index.sharded.building import Engine, in_processes, merged_recall, requests_for
from isthmus.index.sharded.contents import DOCUMENT, Contents, read_contents, whole_info, write_contents
from isthmus.index.sharded.homes import at_home, check_apart, check_new, homes_of, next_ids
from isthmus.index.sharded.parts import Part, merged
from isthmus.index.sharded.vector_rows import VectorRows
from isthmus.index.snapshot import check_distinct
from isthmus.index.storage.tensors import Verify
from isthmus.index.tuning.budget import Budget
from isthmus.index.tuning.trials import IndexRequest
from isthmus.index.vectors import Metric, check_lengths, check_metric
from isthmus.machine.processes import ForkSafeLock
from isthmus.reprs import counted, described

ASKED = 100
"""Queries by which ``ShardedIndex.recall`` measures."""

SLACK = 1e-5
"""Relative difference of scores that different ways to compute them may make."""

T = TypeVar("T")
logger = logging.getLogger(__name__)


@final
class ShardedIndex:
    """Several indexes that answer as one. Every part is asked, and the best answers of all are merged: the result is
    exactly that of one index if the parts are exact, and otherwise as good as they are. Several threads may search
    while one of them changes it.

    Args:
        parts: indexes over different ids with the same metric and width, or whatever answers like them
            (``isthmus.index.sharded.parts.Part``): in other processes, on other machines.
        together: number of parts that are asked at the same time, each by a thread of this process.

    Raises:
        InputError: no parts, or parts that do not fit each other.
        SettingError: ``together`` below 1.
    """

    def __init__(self, parts: Sequence[Part], *, together: int = 1) -> None:
        alike = {(part.metric, part.width) for part in parts}
        if len(alike) != 1:
            raise InputError(
                f"parts of {len(alike)} metrics and widths" if parts else "no parts",
                expected="parts with one metric and one width",
            )
        self._parts, self._contents = list(parts), Contents()
        self._together = whole("together", together, least=1)
        self._changing = ForkSafeLock()

    @classmethod
    def of(cls, parts: Sequence[Part], contents: Contents, *, together: int = 1) -> ShardedIndex:
        """An index of given parts of which more is known, such as its recall; otherwise call the class."""
        made = cls(parts, together=together)
        made._contents = contents
        return made

    @classmethod
    def build(
        cls,
        vectors: Any,
        folder: str | Path,
        *,
        shards: int = 8,
        ids: str | None = None,
        metric: Metric = "ip",
        target_recall: float = 0.95,
        k: int = 10,
        budget: Budget | None = None,
        seed: int = 0,
        queries: Any = None,
        kind: str = "auto",
        processes: int = 1,
        engine: Engine | None = None,
    ) -> ShardedIndex:
        """Build an index in a folder, part after part, or several parts at a time.

        Only the vectors of the parts that are being built are in memory. The folder appears when all parts are done.
        Kinds with inverted lists (all but "ivf-lifted") share one quantiser, which is trained once, on random vectors
        of the whole source.

        Args:
            vectors: a folder of Parquet files, a list of them, a ``.npy`` file, or an array [rows, width].
            folder: where the index is to be.
            shards: number of parts, each with consecutive rows.
            ids: the column with the ids, distinct over all parts; by default the column ``id``, or the row numbers.
            metric: "ip", "cosine" or "l2".
            target_recall: share of the true ``k`` nearest neighbours that each part must find. The share that is found
                after merging is measured, and ``info()["recall"]`` tells it.
            k: number of neighbours.
            budget: limits of time and memory of each part.
            seed: of everything random.
            queries: typical queries, to measure with; by default random vectors with noise, those of each part for its
                own settings.
            kind: as for ``Index.build``, for each part.
            processes: number of parts that are built at the same time, each in a process. A script calls this below
                ``if __name__ == "__main__":`` then, because processes import it.
            engine: builds the parts in place of processes, such as ``isthmus.integrations.ray_index.ray_tasks``.

        Returns:
            The index, with its vectors mapped from the folder.

        Raises:
            SourceError: vectors that cannot be read.
            InputError: fewer vectors than parts; the folder exists.
            DuplicateIdError: an id in two parts.
            The errors of ``Index.build``.
        """
        check_metric(metric)
        shards, processes = whole("shards", shards, least=1), whole("processes", processes, least=1)
        request = IndexRequest(kind, target_recall, k, budget or Budget(), seed, ids).checked()
        rows = VectorRows.of(vectors)
        if len(rows) < shards:
            raise InputError(f"{len(rows)} vectors for {shards} parts", expected="at least one for each")
        asked = None if queries is None else vector_files.read(queries, None, ids)[0]
        place = path_of("folder", folder)
        with new_folder(place) as scratch:
            requests = requests_for(rows, shards, scratch, metric, request, asked)
            built = list((engine or in_processes(processes))(requests))
            made = cls([Index.load(one.folder, verify="header", mmap=True) for one in requests])
            if not building.numbered(rows.read(0, 1), ids):
                check_apart(made.parts)
            recall = merged_recall(
                made.search(requests[0].queries, request.k), [one.scores for one in built], request.k
            )
            made._contents = Contents(recall, ids)
            write_contents(scratch, made._contents, [one.info for one in built])
        if recall < request.target_recall:
            logger.warning("recall %.3f after merging, less than %g", recall, request.target_recall)
        return made

    @property
    def parts(self) -> Sequence[Part]:
        """The parts, in order."""
        return tuple(self._parts)

    @property
    def metric(self) -> Metric:
        """The metric of all parts."""
        return self._parts[0].metric

    @property
    def width(self) -> int:
        """The number of dimensions of a vector."""
        return self._parts[0].width

    @property
    def id_column(self) -> str | None:
        """The column of the ids in the table of vectors, if ``build`` was given one."""
        return self._contents.id_column

    @property
    def ids(self) -> list[Id]:
        """All ids, part after part."""
        return [name for part in self._parts for name in part.ids]

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts)

    def __contains__(self, id_: object) -> bool:
        return isinstance(id_, int | str) and any(part.holds([id_])[0] for part in self._parts)

    def __repr__(self) -> str:
        vectors = f"{counted(len(self), 'vector')} of {counted(self.width, 'number')}"
        return described(self, f"{vectors} in {counted(len(self._parts), 'part')}, {self.metric}")

    def __getstate__(self) -> tuple[list[Part], Contents, int]:
        return self._parts, self._contents, self._together

    def __setstate__(self, state: tuple[list[Part], Contents, int]) -> None:
        self._parts, self._contents, self._together = state
        self._changing = ForkSafeLock()

    def search(
        self, queries: Any, k: int | Sequence[int] = 10, *, exclude: Ids | None = None, allow: Ids | None = None
    ) -> SearchHits:
        """The ``k`` nearest ids of each query; arguments, results and errors are those of ``Index.search``.

        Args:
            queries: one query, or one per row.
            k: number of results: one number, or one for each query.
            exclude: ids to exclude: for all queries, or a list for each.
            allow: the only ids that may be returned, likewise.

        Returns:
            Ids and scores, nearest first; higher is nearer. Equal scores are in the order of the parts.
        """
        asked, wanted = as_queries(queries), list(k) if isinstance(k, Sequence | np.ndarray) else k
        out, only = reusable(exclude, "exclude"), reusable(allow, "allow")
        found = self._of_each(lambda part: part.search(asked, wanted, exclude=out, allow=only))
        return merged(found, wanted if isinstance(wanted, list) else [int(wanted)] * len(asked))

    def within(self, queries: Any, score: float, *, exclude: Ids | None = None, allow: Ids | None = None) -> SearchHits:
        """All ids with a score of at least ``score``; arguments, results and errors are those of ``Index.within``.

        Args:
            queries: one query, or one per row.
            score: minimum score; for "l2", the negative squared radius.
            exclude: ids to exclude.
            allow: the only ids that may be returned.

        Returns:
            Ids and scores, nearest first.
        """
        asked = as_queries(queries)
        out, only = reusable(exclude, "exclude"), reusable(allow, "allow")
        return merged(self._of_each(lambda part: part.within(asked, score, exclude=out, allow=only)))

    def holds(self, ids: IdArray) -> list[bool]:
        """Whether each of some ids is in the index, in the order given."""
        return [home is not None for home in homes_of(self._parts, vector_files.as_ids(ids))]

    def vectors(self, ids: IdArray) -> npt.NDArray[np.float32]:
        """The original vectors of some ids.

        Raises:
            UnknownIdError: an id that is in no part.
        """
        wanted = vector_files.as_ids(ids)
        out = np.empty((len(wanted), self.width), np.float32)
        for part, places in at_home(self._parts, wanted):
            out[places] = part.vectors([wanted[place] for place in places])
        return out

    def add(self, vectors: Any, ids: IdArray | None = None, **file: Unpack[FileOptions]) -> None:
        """Add vectors to the smallest part: all of them or, after an error, none.

        Args:
            vectors: as for ``Index.add``.
            ids: new ids; by default those of the file, or else integers above all existing ids.
            file: as for ``Index.add``.

        Raises:
            DuplicateIdError: an id that is already in a part, or is given twice.
            The errors of ``Index.add``.
        """
        given, names = vector_files.read(vectors, ids, self.id_column, told=told_in(file))
        with self._changing:
            names = next_ids(self._parts, len(given)) if names is None else names
            check_new(self._parts, names)
            min(self._parts, key=len).add(given, names)

    def update(self, vectors: Any, ids: IdArray | None = None, **file: Unpack[FileOptions]) -> None:
        """Replace the vectors of existing ids, each in its part.

        Args:
            vectors: as for ``Index.update``.
            ids: ids of the vectors; by default those of the file.
            file: as for ``Index.update``.

        Raises:
            UnknownIdError: an id that is in no part; nothing is changed then, as after the other errors.
            DuplicateIdError: an id that is given twice.
            InputError: vectors of another width, or without ids.
            ValueRangeError: a vector that contains NaN or infinity, or has too large a norm.
        """
        given, names = vector_files.read(vectors, ids, self.id_column, told=told_in(file))
        wanted = require_ids(names)
        if given.shape[1] != self.width:
            raise InputError(f"vectors of {given.shape[1]} numbers", expected=f"{self.width}, as the others have")
        check_lengths(given, self.metric)
        check_distinct(wanted)
        with self._changing:
            for part, places in at_home(self._parts, wanted):
                part.update(given[places], [wanted[place] for place in places])

    def remove(self, ids: IdArray) -> None:
        """Remove vectors, each from its part: all of them or, after an error, none.

        Raises:
            UnknownIdError: an id that is in no part.
            DuplicateIdError: an id that is given twice.
        """
        wanted = vector_files.as_ids(ids)
        check_distinct(wanted)
        with self._changing:
            for part, places in at_home(self._parts, wanted):
                part.remove([wanted[place] for place in places])

    def compact(self, queries: Any = None) -> None:
        """``Index.compact`` of every part; a part then trains a quantiser of its own. Searches continue meanwhile.

        Args:
            queries: as for ``Index.build``.
        """
        asked = None if queries is None else vector_files.read(queries, None, self.id_column)[0]
        with self._changing:
            self._of_each(lambda part: part.compact(asked))

    def info(self) -> dict[str, Any]:
        """A description as JSON values: what ``Index.info`` tells, for the whole and, in ``parts``, for each part.

        ``recall`` is the share of the true nearest neighbours that was found after merging, when the index was built;
        None if it was not measured.
        """
        return whole_info(self._of_each(lambda part: part.info()), self._contents)

    def recall(self, queries: Any, k: int = 10) -> float:
        """The share of the true ``k`` nearest neighbours that ``search`` finds, after merging.

        Args:
            queries: at most the first ``ASKED`` of them are asked, each against all vectors.
            k: number of neighbours.

        Returns:
            From 0 to 1; higher is better.
        """
        asked, hits, wanted = as_queries(queries)[:ASKED], 0, 0
        found = self.search(asked, k)
        for query, ids, scores in zip(asked, found.ids, found.scores, strict=True):
            if len(ids):
                # The true neighbours are among all that are as near as the last one that was found.
                true = self.within(query, float(scores[-1]) - SLACK * abs(float(scores[-1]))).ids[0][:k]
                hits, wanted = hits + len({*true} & {*ids}), wanted + len(true)
        return hits / max(wanted, 1)

    def export(self, folder: str | Path) -> None:
        """Write all vectors with their ids as a new folder of Parquet files, one for each part. ``build`` and many
        vector databases read it.

        Raises:
            InputError: the folder exists.
            OSError: it cannot be written.
        """
        with new_folder(path_of("folder", folder)) as scratch:
            for number, part in enumerate(self._parts):
                part.export(scratch / f"{building.name(number)}.parquet")

    def save(self, folder: str | Path) -> None:
        """Save all parts in a folder, completely or not at all. An older index at this path is replaced.

        Raises:
            InputError: the path exists and is something else.
            OSError: it cannot be written.
        """
        place = path_of("folder", folder)
        if os.path.lexists(place) and not (place / DOCUMENT).is_file():
            raise InputError(f"{str(place)!r} exists and is no such index", remedy="choose another place")
        with self._changing, replaced(place) as scratch:
            for number, part in enumerate(self._parts):
                part.save(scratch / building.name(number))
            write_contents(scratch, self._contents, self._of_each(lambda part: part.info()))

    @classmethod
    def load(cls, folder: str | Path, *, verify: Verify = "full", mmap: bool = True, together: int = 1) -> ShardedIndex:
        """Load an index that ``build`` or ``save`` wrote.

        Args:
            folder: path of the folder.
            verify: as for ``Index.load``.
            mmap: leave the vectors on disk until a search reads them, as for ``Index.load``.
            together: number of parts that are asked at the same time.

        Raises:
            BundleError: no such index, or parts that are missing or damaged.
        """
        place = path_of("folder", folder)
        contents, count = read_contents(place)
        parts = [Index.load(place / building.name(part), verify=verify, mmap=mmap) for part in range(count)]
        return cls.of(parts, contents, together=together)

    def _of_each(self, work: Callable[[Part], T]) -> list[T]:
        """The answers of all parts, in order."""
        if self._together == 1 or len(self._parts) == 1:
            return [work(part) for part in self._parts]
        with ThreadPoolExecutor(min(self._together, len(self._parts))) as pool:
            return list(pool.map(work, self._parts))
