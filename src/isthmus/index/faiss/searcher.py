"""A searcher that takes candidates from FAISS and computes their scores again from the vectors.

Scores are therefore exact for every kind of index, and ties are ordered by ascending row. FAISS supports one filter per
call, but no list for each query: more candidates are requested, excluded rows are dropped, and a query that is left
with fewer than k is searched exactly. Filters are therefore never violated, and a result has fewer than k rows only if
fewer pass the filters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any, Unpack, final

import faiss
import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from isthmus.index.exact.filters import Allow, Filters
from isthmus.index.exact.searcher import ExactSearcher
from isthmus.index.exact.top_k import by_score
from isthmus.index.faiss import hnsw, ivf
from isthmus.index.faiss.candidates import EXACT_SHARE, MOST_CANDIDATES, groups_of, nearer, needed_of, selecting
from isthmus.index.faiss.kinds import KINDS, Name, check_kind
from isthmus.index.faiss.parameters import FaissSettings, Keywords, SearchSettings
from isthmus.index.faiss.transforms import TransformedVectors, lift, pad_and_rotate
from isthmus.index.kinds import Structure
from isthmus.index.threads import limited_to
from isthmus.index.vectors import Metric, check_k, check_metric, check_queries, check_vectors
from isthmus.protocols import Neighbours
from isthmus.rowlists import RowLists, contains

SPARE = 2
"""Additional candidates that are passed from float32 scores to float64 scores."""

ROWS_UNDER_WAY = 1 << 22
"""Maximum number of candidates of one call of FAISS."""


@final
class FaissSearcher:
    """Created by ``build`` or ``over``; immutable and thread-safe."""

    def __init__(
        self,
        index: Any,
        exact: ExactSearcher,
        kind: Name,
        settings: FaissSettings,
        structure: Structure,
        order: Int64[np.ndarray, " numbers"] | None,
    ) -> None:
        self._index, self._exact, self._name, self.faiss_settings = index, exact, kind, settings
        self._structure, self._kind = structure, KINDS[kind]
        self._transform = self._kind.transform(exact.width)
        self._order = order
        self._query_order = None if order is None else hnsw.query_order(index)

    @classmethod
    def build(
        cls,
        vectors: Float[Tensor, "rows width"],
        kind: Name = "flat",
        metric: Metric = "ip",
        **settings: Unpack[Keywords],
    ) -> FaissSearcher:
        """Build an index of a copy of the vectors, on the CPU in float32.

        The recall of an approximate kind depends on the data, most of all for inner products of vectors with very
        different norms; ``isthmus.index.Index`` measures it.

        Args:
            vectors: one vector for each row.
            kind: "flat" compares all vectors, "fp16", "bf16" and "sq8" all of them in fewer bytes; "ivf" those of the
                nearest lists, "ivf-bf16", "ivf-sq8", "ivf-pq" and "rabitq" their codes; "hnsw" searches a graph,
                "hnsw-short" a graph over the leading principal components, and "ivf-lifted" the lists of lifted
                vectors, where the nearest vector has the largest inner product.
            metric: "ip", "cosine" (0 for a zero vector) or "l2".
            settings: the fields of ``FaissSettings``: lists, probes, links, building, breadth, widen, seed.

        Raises:
            SettingError: an unknown kind or metric, or a number outside its range.
            InputError: no vectors.
            ValueRangeError: a number is NaN or infinite.
        """
        check_metric(metric)
        check_kind(kind)
        check_vectors(vectors, metric)
        exact = ExactSearcher.build(vectors.detach().cpu().float(), metric)
        return cls.over(exact, kind, FaissSettings.checked(len(exact), **settings))

    @classmethod
    def over(
        cls, exact: ExactSearcher, kind: Name, settings: FaissSettings, known: Structure | None = None
    ) -> FaissSearcher:
        """An index of the vectors of an exact searcher on the CPU.

        Args:
            exact: computes the candidates' scores, and handles the searches that FAISS cannot.
            kind: as for ``build``.
            settings: checked settings.
            known: the structure of an earlier index of these vectors; it is computed again if it does not fit.
        """
        found = KINDS[kind]
        transform = found.transform(exact.width)
        lifted = lift(transform, exact.compared, exact.metric == "l2")
        fitting = known is not None and found.fits(known, lifted.vectors, settings)
        with limited_to(faiss.omp_get_max_threads, faiss.omp_set_num_threads):
            structure = known if fitting and known is not None else found.learn(lifted, settings)
            vectors = pad_and_rotate(transform, lifted.vectors, settings.seed)
            finished = structure
            if found.inverted:
                centroids = np.asarray(structure["centroids"], dtype=np.float32)
                finished = {**structure, "centroids": pad_and_rotate(transform, centroids, settings.seed)}
                if "lists" in structure:  # FAISS keeps them, too
                    structure = {"centroids": centroids}
            index = found.make(TransformedVectors(vectors, lifted.by_distance), settings, finished)
        # Maps FAISS's numbers to rows; -1 (no row) maps to the last entry.
        order = np.append(structure["order"], -1).astype(np.int64) if "order" in structure else None
        return cls(index, exact, kind, settings, structure, order)

    def __getstate__(self) -> dict[str, Any]:
        own = {"exact": self._exact, "kind": self._name, "settings": self.faiss_settings, "order": self._order}
        return {**own, "structure": dict(self._structure), "index": faiss.serialize_index(self._index)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        index, exact, kind = faiss.deserialize_index(state["index"]), state["exact"], state["kind"]
        FaissSearcher.__init__(self, index, exact, kind, state["settings"], state["structure"], state["order"])

    def with_search_settings(self, settings: SearchSettings) -> FaissSearcher:
        """The same index, asked with other settings.

        Raises:
            SettingError: a number outside its range.
        """
        changed = self.faiss_settings.searching(settings)
        return FaissSearcher(self._index, self._exact, self._name, changed, self._structure, self._order)

    def grid(self) -> Sequence[Sequence[FaissSearcher]]:
        """The same index with the settings of its kind's grid, cheapest first."""
        tried = self._kind.grid(self.faiss_settings)
        return [[self.with_search_settings(settings) for settings in line] for line in tried]

    def rebuilt(self, exact: ExactSearcher) -> FaissSearcher:
        """The same kind over other vectors: a suitable number of lists, the same share of them visited."""
        lists = self._kind.defaults(len(exact), exact.width, self.faiss_settings.seed).lists
        return FaissSearcher.over(exact, self._name, self.faiss_settings.with_lists(lists))

    @property
    def kind(self) -> Name:
        """The name of the kind."""
        return self._name

    @property
    def settings(self) -> Mapping[str, int]:
        """All settings by name."""
        return asdict(self.faiss_settings)

    @property
    def search_settings(self) -> Mapping[str, int]:
        """The search settings that the grid of the kind varies, by name."""
        return self._kind.tuned(self.faiss_settings).given()

    @property
    def structure(self) -> Structure:
        """Centroids and, for some kinds, the list of each vector, or links with levels, order and axes; empty for flat
        indexes."""
        if not self._kind.tells_lists:
            return self._structure
        return {**self._structure, "lists": ivf.lists_of(self._index, len(self))}

    @property
    def width(self) -> int:
        """The number of dimensions of a vector."""
        return self._exact.width

    @property
    def nbytes(self) -> int:
        """Bytes that FAISS keeps in addition to the vectors of the exact searcher."""
        codes = int(len(self) * self._index.d * self._kind.number_bytes)
        numbers = 8 * len(self) if self._kind.inverted else 0
        return codes + numbers + sum(part.nbytes for part in self._structure.values())

    def __len__(self) -> int:
        return len(self._exact)

    @torch.no_grad()
    def search(
        self,
        queries: Float[Tensor, "batch width"],
        k: int,
        *,
        exclude: RowLists | None = None,
        allow: Allow = None,
    ) -> Neighbours:
        """The ``k`` nearest rows of each query, with the recall of this kind of index.

        Args:
            queries: one query per row.
            k: number of results per query.
            exclude: rows to exclude, for each query.
            allow: the only rows that may be returned: for all queries (a tensor) or for each (lists).

        Returns:
            Rows and scores, nearest first, ties by ascending row; padded with -1 and -inf where fewer than ``k`` pass.

        Raises:
            SettingError: ``k`` below 1.
            InputError: queries of another width or device; filters that do not match the number of queries.
            ValueRangeError: a query holds NaN or infinity; a filter names a row that does not exist.
        """
        k = check_k(k, len(queries))
        check_queries(queries, self.width, torch.device("cpu"), self._exact.metric)
        filters = Filters.checked(len(self), len(queries), exclude, allow, queries.device)
        prepared = self._exact.prepared(queries)
        rows = torch.full((len(queries), k), -1)
        scores = torch.full((len(queries), k), -torch.inf)
        # One more than k shows whether a tie was cut.
        needed = needed_of(filters, len(queries), k * self.faiss_settings.widen + 1)
        settled = torch.zeros(len(queries), dtype=torch.bool)
        for some in self._groups(needed, filters):
            near = self._near(prepared[some], k, int(needed[some].max()), filters.take(some))
            rows[some], scores[some], settled[some] = near
        rest = (~settled).nonzero()[:, 0]
        if len(rest):
            part = filters.take(rest)
            found = self._exact.search(queries[rest], k, exclude=part.exclude, allow=part.allow)
            rows[rest], scores[rest] = found.rows, found.scores
        return Neighbours(rows, scores)

    def candidates(
        self, queries: Float[Tensor, "batch width"], k: int, exclude: RowLists | None, allow: Allow
    ) -> Int64[Tensor, "batch found"]:
        """What ``search`` chooses from.

        Args:
            queries: checked queries.
            k: number of candidates that each query needs.
            exclude: rows to exclude, for each query.
            allow: the only rows that may be returned: for all queries (a tensor) or for each (lists).

        Returns:
            Rows in any order, with -1 in between: at least ``k`` rows per query, if that many pass the filters.
        """
        filters = Filters.checked(len(self), len(queries), exclude, allow, queries.device)
        needed = needed_of(filters, len(queries), k * self.faiss_settings.widen)
        groups = self._groups(needed, filters)
        if self._kind.all_seen or not groups:
            return self.search(queries, k, exclude=exclude, allow=allow).rows
        prepared, widest = self._exact.prepared(queries), max(int(needed[some].max()) for some in groups)
        # Many candidates are reduced by float32 scores before the rest are scored in float64.
        width = widest if widest <= 2 * k + 1 else k + SPARE
        rows = torch.full((len(queries), width), -1)
        settled = torch.zeros(len(queries), dtype=torch.bool)
        for some in groups:
            found = self._open_candidates(prepared[some], int(needed[some].max()), filters.take(some))
            if found.shape[1] > width:
                found = torch.from_numpy(nearer(self._exact, prepared[some], found.numpy(), width))
            rows[some, : found.shape[1]], settled[some] = found, (found >= 0).sum(1) >= k
        rest = (~settled).nonzero()[:, 0]
        if len(rest):
            part = filters.take(rest)
            rows[rest] = -1
            rows[rest, :k] = self._exact.search(queries[rest], k, exclude=part.exclude, allow=part.allow).rows
        return rows

    def unfiltered_candidates(
        self, queries: Float[Tensor, "batch width"], k: int
    ) -> Int64[np.ndarray, "batch found"] | None:
        """``candidates`` of checked queries without filters and without fallback to exact search: padded with -1 if
        FAISS finds fewer. None if the exact searcher is faster."""
        needed = k * self.faiss_settings.widen
        if self._kind.all_seen or needed * EXACT_SHARE > len(self) or needed > MOST_CANDIDATES:
            return None
        prepared, step = self._exact.prepared(queries), max(1, ROWS_UNDER_WAY // needed)
        if prepared.shape[0] <= step:
            return self._nearest(prepared, needed, k + SPARE)
        return np.concatenate([self._nearest(part, needed, k + SPARE) for part in prepared.split(step)])

    def _nearest(
        self, prepared: Float[Tensor, "batch width"], needed: int, most: int
    ) -> Int64[np.ndarray, "batch found"]:
        """FAISS's candidates, ``needed`` for each query, or the ``most`` nearest of them if they are more."""
        rows = self._ask(prepared, needed, None)
        return rows if needed <= most else nearer(self._exact, prepared, rows, most)

    def _groups(self, needed: Int64[Tensor, " batch"], filters: Filters) -> list[Int64[Tensor, " some"]]:
        return groups_of(len(self), self.width, self._kind.selects, needed, filters)

    def _near(
        self, queries: Float[Tensor, "batch width"], k: int, candidates: int, filters: Filters
    ) -> tuple[Int64[Tensor, "batch k"], Float[Tensor, "batch k"], Bool[Tensor, " batch"]]:
        """The best k among FAISS's candidates, and a mask of the queries for which they are final."""
        found = self._open_candidates(queries, candidates, filters)
        closed = found < 0
        scores = self._exact.scores_of_prepared(queries, found.clamp(min=0)).masked_fill_(closed, -torch.inf)
        best = by_score(scores, found)
        last, after = best.scores[:, k - 1], best.scores[:, k]
        # An approximate index may miss rows of a cut tie; a flat index compares all rows, so its result must be exact.
        cut = (last == after) & self._kind.all_seen
        return best.columns[:, :k], best.scores[:, :k], (last > -torch.inf) & ~cut

    def _open_candidates(
        self, queries: Float[Tensor, "batch width"], candidates: int, filters: Filters
    ) -> Int64[Tensor, "batch candidates"]:
        """FAISS's candidates for prepared queries, with -1 in place of excluded rows."""
        found = torch.from_numpy(self._ask(queries, candidates, filters.shared))
        if filters.exclude is not None:
            found.masked_fill_(contains(filters.exclude, found), -1)
        return found

    def _ask(
        self, queries: Float[Tensor, "batch width"], candidates: int, shared: Int64[Tensor, " allowed"] | None
    ) -> Int64[np.ndarray, "batch candidates"]:
        width = self._index.d
        asked = queries.numpy()
        if self._transform.rotates:
            asked = pad_and_rotate(self._transform, asked, self.faiss_settings.seed)
        axes = self._structure.get("axes")
        width = width if axes is None else len(axes)
        if asked.shape[1] < width:
            asked = np.pad(asked, ((0, 0), (0, width - asked.shape[1])))
        asked = np.ascontiguousarray(asked if axes is None else asked @ axes)
        parameters = self._kind.parameters(self.faiss_settings, candidates, selecting(shared, self._order))
        turns = self._query_order(asked) if self._query_order and len(asked) >= hnsw.MANY_QUERIES else None
        in_turn = asked if turns is None else asked[turns]
        by_products = ivf.products(len(asked)) if self._kind.inverted else nullcontext()
        with limited_to(faiss.omp_get_max_threads, faiss.omp_set_num_threads), by_products:
            found: Int64[np.ndarray, "batch candidates"] = self._index.search(in_turn, candidates, params=parameters)[1]
        if self._order is not None:
            found = self._order.take(found)
        if turns is None:
            return found
        rows = np.empty_like(found)
        rows[turns] = found
        return rows
