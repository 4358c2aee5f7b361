"""The ``Index``: nearest neighbours by external ids, with filters, updates and saving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack, final

import numpy as np
import numpy.typing as npt
import torch

from isthmus.answers import html
from isthmus.files import FileOptions, Told, told_in
from isthmus.ids import Id
from isthmus.index import build, search, vector_files
from isthmus.index.search import IdArray, Ids, SearchHits
from isthmus.index.snapshot import Snapshot
from isthmus.index.storage import saving
from isthmus.index.storage.tensors import Verify
from isthmus.index.tuning.budget import Budget
from isthmus.index.tuning.steps import StepProgress, check_progress
from isthmus.index.tuning.trials import ChosenIndex, IndexRequest
from isthmus.index.vectors import Metric, check_metric
from isthmus.machine.processes import ForkSafeLock
from isthmus.reprs import counted, described


@dataclass(frozen=True)
class _State:
    # A search reads this once, and a change replaces it as a whole.
    snapshot: Snapshot
    chosen: ChosenIndex


@final
class Index:
    """Nearest-neighbour index, created by ``build`` or ``load``. Several threads may search while one of them changes
    it: a running search keeps the vectors that it started with."""

    def __init__(self, snapshot: Snapshot, chosen: ChosenIndex, request: IndexRequest) -> None:
        self._state, self._request = _State(snapshot, chosen), request
        self._changing = ForkSafeLock()

    @classmethod
    def build(
        cls,
        vectors: Any,
        ids: IdArray | None = None,
        metric: Metric = "ip",
        *,
        target_recall: float = 0.95,
        k: int = 10,
        budget: Budget | None = None,
        seed: int = 0,
        queries: Any = None,
        kind: str = "auto",
        progress: StepProgress | None = None,
        **file: Unpack[FileOptions],
    ) -> Index:
        """Build an index of a copy of the vectors, as float32.

        Exact search is chosen if one query takes at most 5 ms (or ``budget.seconds``) by the rule of
        ``Budget.allows_exact``. Otherwise all known kinds (``isthmus.index.registry``) are tried, the recall of each is
        measured against exact search on held-out queries, and the fastest that reaches ``target_recall`` is kept, if it
        is faster than exact search. If none reaches it, exact search is kept, with a warning.

        Args:
            vectors: a numpy or torch array, a table, or the path of a ``.npy``, Parquet, CSV or JSON file, see
                ``vector_files.read``.
            ids: distinct, all integers or all text; or the name of the column with the ids, which ``add`` and
                ``update`` then use, too. By default those of a column ``id``, or the row numbers.
            metric: "ip" (inner product), "cosine" (0 for a zero vector) or "l2" (negative squared distance).
            target_recall: minimum share of the true ``k`` nearest neighbours that must be found.
            k: number of neighbours.
            budget: limits of time and memory.
            seed: seed of sampling, k-means and rotations.
            queries: typical queries, to measure with; by default random vectors with noise. Pass some if queries are
                distributed differently from the vectors (such as users and items).
            kind: "auto"; "fastest", to try all kinds even if exact search is fast; "exact"; or one kind, whatever its
                speed.
            progress: told which kind is being tried, by its methods ``begin`` and ``end``; the bar of ``fit`` is
                ``isthmus.training.progress_display.ProgressBar()``. With None there are log lines only.
            file: encoding, delimiter and header of a text file, if they are not detected correctly; remembered for
                queries, ``add`` and ``update``.

        Returns:
            The index.

        Raises:
            InputError: the errors of ``vector_files.read``; ids of mixed types; fewer than two queries to measure with.
            DuplicateIdError: duplicate ids.
            SettingError: a setting outside its range.
            BudgetError: nothing within the budget reaches the target, including exact search.
        """
        check_metric(metric)
        check_progress(progress)
        column = ids if isinstance(ids, str) else None
        request = IndexRequest(kind, target_recall, k, budget or Budget(), seed, column, told_in(file)).checked()
        return cls(*build.build_snapshots(vectors, ids, metric, [request], queries, progress)[0])

    @property
    def metric(self) -> Metric:
        """The metric of the index."""
        return self._state.snapshot.metric

    @property
    def id_column(self) -> str | None:
        """The column of the ids in the table of vectors, if ``build`` was given one."""
        return self._request.id_column

    @property
    def written(self) -> Told:
        """The file options that ``build`` was given (encoding, delimiter, header)."""
        return self._request.written

    @property
    def width(self) -> int:
        """The number of dimensions of a vector."""
        return self._state.snapshot.width

    @property
    def ids(self) -> list[Id]:
        """All ids in insertion order, which also breaks ties."""
        return self._state.snapshot.live()[1]

    def __len__(self) -> int:
        return len(self._state.snapshot)

    def __repr__(self) -> str:
        vectors = f"{counted(len(self), 'vector')} of {counted(self.width, 'number')}"
        return described(self, f"{vectors}, {self._state.chosen.kind}, {self.metric}")

    def _repr_html_(self) -> str:
        chosen, snapshot = self._state.chosen, self._state.snapshot
        size = {"vectors": len(self), "numbers of each": self.width, "metric": self.metric, "ids": snapshot.kind}
        return html.facts({**size, "kind": chosen.kind, "recall": float(chosen.recall), "why": chosen.reason})

    def __getstate__(self) -> tuple[_State, IndexRequest]:
        return self._state, self._request

    def __setstate__(self, state: tuple[_State, IndexRequest]) -> None:
        self._state, self._request = state
        self._changing = ForkSafeLock()

    def __copy__(self) -> Index:
        return Index(self._state.snapshot, self._state.chosen, self._request)

    def __deepcopy__(self, memo: dict[int, Any]) -> Index:
        return self.__copy__()  # shared parts are immutable

    def __contains__(self, id_: object) -> bool:
        return isinstance(id_, int | str) and not self._state.snapshot.rows([id_])[1]

    def holds(self, ids: IdArray) -> list[bool]:
        """Whether each of some ids is in the index, in the order given."""
        held: list[bool] = (self._state.snapshot.places(vector_files.as_ids(ids)) >= 0).tolist()
        return held

    @torch.no_grad()
    def search(
        self, queries: Any, k: int | Sequence[int] = 10, *, exclude: Ids | None = None, allow: Ids | None = None
    ) -> SearchHits:
        """The ``k`` nearest ids of each query, nearest first; fewer if fewer pass the filters.

        Args:
            queries: one query, or one per row.
            k: number of results: one number, or one for each query.
            exclude: ids to exclude: for all queries, or a list for each. Unknown ids have no effect.
            allow: the only ids that may be returned, likewise.

        Raises:
            SettingError: a k below 1, or a number of k that is not the number of queries.
            InputError: queries of another width; a number of lists that is not the number of queries.
            ValueRangeError: a query holds NaN or infinity.
        """
        return search.search(self._state.snapshot, queries, k, exclude, allow)

    @torch.no_grad()
    def within(self, queries: Any, score: float, *, exclude: Ids | None = None, allow: Ids | None = None) -> SearchHits:
        """All ids with a score of at least ``score``, nearest first. This search is exact for every kind of index.

        Args:
            queries: one query, or one per row.
            score: minimum score; for "l2", the negative squared radius.
            exclude: as for ``search``.
            allow: as for ``search``.

        Raises:
            InputError: as for ``search``.
            ValueRangeError: as for ``search``, or the score is NaN.
        """
        return search.within(self._state.snapshot, queries, score, exclude, allow)

    def vectors(self, ids: IdArray) -> npt.NDArray[np.float32]:
        """The original vectors of some ids.

        Raises:
            UnknownIdError: an id that is not in the index.
        """
        snapshot = self._state.snapshot
        found: npt.NDArray[np.float32] = snapshot.vectors_of(build.rows_of(snapshot, vector_files.as_ids(ids))).numpy()
        return found

    def add(self, vectors: Any, ids: IdArray | None = None, **file: Unpack[FileOptions]) -> None:
        """Add vectors: all of them or, after an error, none.

        Args:
            vectors: as for ``build``.
            ids: new ids; by default those of the file, or else integers above all existing ids.
            file: encoding, delimiter and header of a text file, if they differ from those of ``build``.

        Raises:
            DuplicateIdError: an id that is already in the index, or is given twice.
            InputError: vectors of another width; ids of another type, or no ids where the existing ones are text.
            ValueRangeError: a vector that contains NaN or infinity, or has too large a norm.
            BudgetError: the vectors would take more memory than the budget allows.
        """
        given, found = self._read(vectors, ids, file)
        with self._changing:
            snapshot = self._state.snapshot
            build.check_more(given, snapshot)
            self._request.budget.check_bytes(len(snapshot) + len(given), snapshot.width)
            if len(given):
                names = build.next_ids(snapshot, len(given)) if found is None else found
                self._put(snapshot.with_rows(given, names))

    def update(self, vectors: Any, ids: IdArray | None = None, **file: Unpack[FileOptions]) -> None:
        """Replace the vectors of existing ids. Replaced vectors then count as inserted last.

        Args:
            vectors: as for ``build``.
            ids: ids of the vectors; by default those of the file.
            file: as for ``add``.

        Raises:
            UnknownIdError: an id that is not in the index.
            DuplicateIdError: duplicate ids.
            InputError: vectors of another width, or without ids.
        """
        given, found = self._read(vectors, ids, file)
        with self._changing:
            snapshot = self._state.snapshot
            build.check_more(given, snapshot)
            names = build.require_ids(found)
            if names:
                self._put(snapshot.without_rows(names).with_rows(given, names))

    def remove(self, ids: IdArray) -> None:
        """Remove vectors: all of them or, after an error, none.

        Raises:
            UnknownIdError: an id that is not in the index.
            DuplicateIdError: duplicate ids.
        """
        with self._changing:
            self._put(self._state.snapshot.without_rows(vector_files.as_ids(ids)))

    def compact(self, queries: Any = None) -> None:
        """Merge all vectors into one frozen segment. Searches continue meanwhile; other changes wait.

        The kind and its settings are kept if they still reach the target; otherwise they are chosen again as by
        ``build``. ``queries`` and the errors are those of ``build``; an error leaves the index unchanged.
        """
        asked = None if queries is None else self._read(queries, None, {})[0]
        with self._changing:
            snapshot, chosen = self._state.snapshot, self._state.chosen
            vectors, ids = snapshot.live()
            vocabulary = build.vocabulary_of(ids, len(ids), snapshot.kind)
            base, chosen = build.choose_again(vectors, vocabulary, snapshot.metric, self._request, chosen, asked)
            self._state = _State(replace(snapshot, base=base, deleted=None, later=None), chosen)

    def info(self) -> dict[str, Any]:
        """A description as JSON values: sizes, the kind and why it was chosen, and all trials."""
        return saving.described(self._state.snapshot, self._state.chosen, self._request)

    def export(self, path: str | Path) -> None:
        """Write all vectors as ``.npy``, or with their ids as Parquet. ``build`` reads both, and many vector databases
        read Parquet. The columns are ``id`` and ``vector``; the metadata of the schema tell the metric.

        Raises:
            InputError: another file extension.
            OSError: the file cannot be written.
        """
        vector_files.write(*self._state.snapshot.live(), path, {"isthmus.metric": self.metric})

    def save(self, directory: str | Path) -> None:
        """Save the index in a directory, completely or not at all. An older index at this path is replaced.

        Raises:
            InputError: the path exists and is something else.
            OSError: it cannot be written; an older index is still there.
        """
        state = self._state
        saving.save(directory, state.snapshot, state.chosen, self._request)

    @classmethod
    def load(cls, directory: str | Path, *, verify: Verify = "full", mmap: bool = False) -> Index:
        """Load an index that ``save`` wrote.

        Args:
            directory: path of the directory.
            verify: "full" reads and hashes every byte, and checks every number; "header" checks only sizes, names,
                types and shapes, so that a memory-mapped index opens immediately.
            mmap: leave the vectors on disk until a search reads them; the file must not change meanwhile. The
                metrics "cosine" and "l2", and approximate kinds, keep copies of what they compare in memory.

        Raises:
            SettingError: an invalid value of ``verify``.
            BundleError: no index at this path, or one that is truncated, altered, foreign or too new.
        """
        return cls(*saving.load(directory, verify, mmap))

    def _read(self, vectors: Any, ids: Any, file: FileOptions) -> vector_files.VectorsWithIds:
        return vector_files.read(vectors, ids, self.id_column, told=told_in(file), alike=self.written)

    def _put(self, snapshot: Snapshot) -> None:
        self._state = replace(self._state, snapshot=snapshot)


def build_each(
    vectors: Any,
    ids: IdArray | None = None,
    metric: Metric = "ip",
    *,
    targets: Sequence[float],
    k: int = 10,
    budget: Budget | None = None,
    seed: int = 0,
    queries: Any = None,
    kind: str = "auto",
) -> list[Index]:
    """One index for each recall in ``targets``, as ``Index.build(..., target_recall=target)`` would choose it.

    Graphs, lists and codes are built once and shared. Settings are searched, and speed and recall measured, separately
    for each target. ``build_seconds`` of the trials and of ``budget`` count a structure that was built for an earlier
    target as if it had been built for this one.

    Args:
        vectors: as for ``Index.build``, like all parameters not listed here.
        ids: ids of the vectors.
        metric: "ip", "cosine" or "l2".
        targets: minimum share of the true ``k`` nearest neighbours that must be found, for each index.
        k: number of neighbours.
        budget: limits of time and memory of each index.
        seed: seed of sampling, k-means and rotations.
        queries: typical queries, to measure with.
        kind: "auto", "fastest", "exact", or the name of one kind.

    Raises:
        The errors of ``Index.build``.
    """
    check_metric(metric)
    first = IndexRequest(kind, 1.0, k, budget or Budget(), seed)
    requests = [replace(first, target_recall=target).checked() for target in targets]
    return [Index(*own) for own in build.build_snapshots(vectors, ids, metric, requests, queries)] if requests else []
