"""The ``ShardedIndex``: nearest neighbours among vectors that lie in several parts, each of them an ``Index``."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt

from isthmus.checked.arguments import path_of, whole
from isthmus.disk import new_folder, replaced
from isthmus.errors import BundleError, DuplicateIdError, InputError, UnknownIdError
from isthmus.ids import Id
from isthmus.index import vector_files
from isthmus.index.index import Index
from isthmus.index.search import IdArray, Ids, SearchHits, as_queries
from isthmus.index.sharded.parts import Part, PartRequest, budget_of, build_parts, merged
from isthmus.index.sharded.vector_rows import VectorRows
from isthmus.index.storage.tensors import Verify
from isthmus.index.tuning.budget import Budget
from isthmus.index.vectors import Metric, check_metric
from isthmus.reprs import counted, described

DOCUMENT = "sharded.json"
FORMAT = 1
ASKED = 100
"""Queries by which recall is measured."""

SLACK = 1e-5
"""Relative difference of scores that different ways to compute them may make."""


@final
class ShardedIndex:
    """Several indexes that answer as one. Every part is asked, and the best answers of all are merged: the result is
    exactly that of one index if the parts are exact, and otherwise as good as they are.

    Args:
        parts: indexes over different ids with the same metric and width, or whatever answers like them
            (``isthmus.index.sharded.parts.Part``): in other processes, on other machines.

    Raises:
        InputError: no parts, or parts that do not fit each other.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        alike = {(part.metric, part.width) for part in parts}
        if len(alike) != 1:
            raise InputError(
                f"parts of {len(alike)} metrics and widths" if parts else "no parts",
                expected="parts with one metric and one width",
            )
        self._parts = list(parts)

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
        kind: str = "auto",
        processes: int = 1,
    ) -> ShardedIndex:
        """Build an index in a folder, part after part, or several parts at a time.

        Only the vectors of the parts that are being built are in memory. The folder appears when all parts are done.

        Args:
            vectors: a folder of Parquet files, a list of them, a ``.npy`` file, or an array [rows, width].
            folder: where the index is to be.
            shards: number of parts, each with consecutive rows.
            ids: the column with the ids, distinct over all parts; by default the column ``id``, or the row numbers.
            metric: "ip", "cosine" or "l2".
            target_recall: share of the true ``k`` nearest neighbours that each part must find.
            k: number of neighbours.
            budget: limits of time and memory of each part.
            seed: of everything random.
            kind: as for ``Index.build``, for each part.
            processes: number of parts that are built at the same time, each in a process.

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
        rows = VectorRows.of(vectors)
        if len(rows) < shards:
            raise InputError(f"{len(rows)} vectors for {shards} parts", expected="at least one for each")
        settings = {"target_recall": target_recall, "k": k, "seed": seed, "kind": kind, **budget_of(budget)}
        edges = [len(rows) * part // shards for part in range(shards + 1)]
        place = path_of("folder", folder)
        with new_folder(place) as scratch:
            requests = [
                PartRequest(rows, start, stop, scratch / _name(part), ids, metric, settings)
                for part, (start, stop) in enumerate(itertools.pairwise(edges))
            ]
            about = build_parts(requests, min(processes, shards))
            _check_distinct([Index.load(scratch / _name(part), verify="header", mmap=True) for part in range(shards)])
            _write(scratch, about)
        return cls.load(place, verify="header")

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

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts)

    def __contains__(self, id_: object) -> bool:
        return any(id_ in part for part in self._parts)

    def __repr__(self) -> str:
        vectors = f"{counted(len(self), 'vector')} of {counted(self.width, 'number')}"
        return described(self, f"{vectors} in {counted(len(self._parts), 'part')}, {self.metric}")

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
            Ids and scores, nearest first; higher is nearer.
        """
        asked = as_queries(queries)
        found = [part.search(asked, k, exclude=exclude, allow=allow) for part in self._parts]
        return merged(found, [int(k)] * len(asked) if isinstance(k, int | np.integer) else list(k))

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
        return merged([part.within(queries, score, exclude=exclude, allow=allow) for part in self._parts])

    def vectors(self, ids: IdArray) -> npt.NDArray[np.float32]:
        """The original vectors of some ids.

        Raises:
            UnknownIdError: an id that is in no part.
        """
        wanted = vector_files.as_ids(ids)
        homes = self._homes(wanted)
        out = np.empty((len(wanted), self.width), np.float32)
        for number, part in enumerate(self._parts):
            places = [place for place, home in enumerate(homes) if home == number]
            if places:
                out[places] = part.vectors([wanted[place] for place in places])
        return out

    def add(self, vectors: Any, ids: IdArray) -> None:
        """Add vectors to the smallest part: all of them or, after an error, none.

        Args:
            vectors: as for ``Index.add``.
            ids: a new id for each of them.

        Raises:
            DuplicateIdError: an id that is already in a part, or is given twice.
            The errors of ``Index.add``.
        """
        names = vector_files.as_ids(ids)
        for name in names:
            if name in self:
                raise DuplicateIdError(f"id {name!r} is already in the index", remedy="remove it first")
        min(self._parts, key=len).add(vectors, names)

    def remove(self, ids: IdArray) -> None:
        """Remove vectors, each from its part.

        Raises:
            UnknownIdError: an id that is in no part; nothing is removed then.
            DuplicateIdError: an id that is given twice; likewise.
        """
        wanted = vector_files.as_ids(ids)
        homes = self._homes(wanted)
        if len(set(wanted)) < len(wanted):
            twice = next(name for place, name in enumerate(wanted) if name in wanted[:place])
            raise DuplicateIdError(f"id {twice!r} twice", expected="each id once")
        for number, part in enumerate(self._parts):
            own = [name for name, home in zip(wanted, homes, strict=True) if home == number]
            if own:
                part.remove(own)

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

    def save(self, folder: str | Path) -> None:
        """Save all parts in a folder, completely or not at all. An older index at this path is replaced.

        Raises:
            InputError: the path exists and is something else.
            OSError: it cannot be written.
        """
        place = path_of("folder", folder)
        if os.path.lexists(place) and not (place / DOCUMENT).is_file():
            raise InputError(f"{str(place)!r} exists and is no such index", remedy="choose another place")
        with replaced(place) as scratch:
            for number, part in enumerate(self._parts):
                part.save(scratch / _name(number))
            _write(scratch, [{"rows": len(part)} for part in self._parts])

    @classmethod
    def load(cls, folder: str | Path, *, verify: Verify = "full", mmap: bool = True) -> ShardedIndex:
        """Load an index that ``build`` or ``save`` wrote.

        Args:
            folder: path of the folder.
            verify: as for ``Index.load``.
            mmap: leave the vectors on disk until a search reads them, as for ``Index.load``.

        Raises:
            BundleError: no such index, or parts that are missing or damaged.
        """
        place = path_of("folder", folder)
        try:
            about = json.loads((place / DOCUMENT).read_text(encoding="utf-8"))
            count, version = int(about["parts"]), int(about["format"])
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise BundleError(f"{str(place)!r} is no index of several parts ({error})") from error
        if version > FORMAT or count < 1:
            raise BundleError(f"{str(place)!r} has format {version} and {count} parts", expected=f"format {FORMAT}")
        return cls([Index.load(place / _name(part), verify=verify, mmap=mmap) for part in range(count)])

    def _homes(self, ids: Sequence[Id]) -> list[int]:
        """The number of the part of each id."""
        homes = []
        for name in ids:
            home = next((number for number, part in enumerate(self._parts) if name in part), None)
            if home is None:
                raise UnknownIdError(f"id {name!r} is not in the index", expected="ids of the index")
            homes.append(home)
        return homes


def _name(part: int) -> str:
    return f"part-{part:05d}"


def _write(folder: Path, about: Sequence[dict[str, Any]]) -> None:
    document = {"format": FORMAT, "parts": len(about), "about": list(about)}
    (folder / DOCUMENT).write_text(json.dumps(document, default=str), encoding="utf-8")


def _check_distinct(parts: Sequence[Index]) -> None:
    seen: set[Id] = set()
    for number, part in enumerate(parts):
        own = part.ids
        both = seen.intersection(own)
        if both:
            raise DuplicateIdError(f"id {min(both, key=str)!r} is in part {number} and in one before it")
        seen.update(own)
