"""FAISS behind the ``Searcher`` protocol; the only file that imports it. CPU; nothing is persisted.

FAISS finds candidates; their scores are computed again from the vectors, so scores are exact and equal ones come in
ascending order of row. FAISS knows one filter for a whole call and no list for each query: excluded rows are found
beyond the k and struck out, and a query that is left with fewer than k is asked again exactly. So no filter leaks,
and no answer is short while k rows may answer.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Literal, final, get_args

import faiss
import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from isthmus.errors import SettingError
from isthmus.index.exact import ExactSearcher
from isthmus.index.filters import Allow, Filters
from isthmus.index.selection import by_score
from isthmus.index.vectors import Metric, check_k, check_metric, check_queries, check_vectors, lifted, normalised
from isthmus.protocols import Neighbours, RowLists
from isthmus.rowlists import contains

if sys.platform == "darwin":
    # The wheels of torch and faiss each bring an OpenMP there, and two of them with threads crash.
    faiss.omp_set_num_threads(1)

Kind = Literal["flat", "ivf", "hnsw"]

EXACT_SHARE = 10
"""When one row in this many is wanted, or at most one may answer, the exact searcher is as fast and always right."""

MOST_CANDIDATES = 2048
"""A query that needs more candidates is asked exactly, so that one long list does not slow a whole batch."""

CANDIDATE_BYTES = 64 << 20
"""What the vectors of the candidates under way may take."""

POINTS_A_LIST = 39
"""With fewer training points than that for each list, k-means says that its centroids are poor."""


@dataclass(frozen=True)
class _Settings:
    kind: Kind
    metric: Metric
    lists: int
    probes: int
    links: int
    breadth: int
    seed: int


@final
class FaissSearcher:
    """Made by ``build``; immutable, and safe to ask from several threads."""

    def __init__(self, index: Any, exact: ExactSearcher, settings: _Settings) -> None:
        self._index, self._exact, self._settings = index, exact, settings

    @classmethod
    def build(
        cls,
        vectors: Float[Tensor, "rows width"],
        kind: Kind = "flat",
        metric: Metric = "ip",
        *,
        lists: int | None = None,
        probes: int | None = None,
        links: int = 32,
        breadth: int = 128,
        seed: int = 0,
    ) -> FaissSearcher:
        """An index of a copy of the vectors, on the CPU in float32.

        A walk over a graph of inner products can strand, so HNSW gets lifted vectors, whose nearest has the greatest
        inner product. Cosine is the inner product of normalised vectors, 0 with a zero vector. How many of the true
        neighbours "ivf" and "hnsw" find depends on the data, most of all for inner products of vectors of very unlike
        length: compare with "flat" on your own queries.

        Args:
            vectors: one vector for each row.
            kind: "flat" compares with all; "ivf" with those of the nearest lists; "hnsw" walks over a graph.
            metric: "ip", "cosine" or "l2".
            lists: IVF lists; 4·√rows, if not given, and never more than the rows can train.
            probes: IVF lists visited; a quarter of them, if not given.
            links: HNSW links of a node.
            breadth: HNSW candidates kept while building, and at least while searching.
            seed: of the k-means behind IVF.

        Raises:
            SettingError: an unknown kind or metric, or a number below 1.
            InputError: no vectors.
            ValueRangeError: a number is NaN or infinite.
        """
        check_vectors(vectors)
        most = max(1, len(vectors) // POINTS_A_LIST)
        lists = min(most, int(4 * len(vectors) ** 0.5) if lists is None else lists)
        probes = -(-lists // 4) if probes is None else probes
        settings = _checked(_Settings(kind, metric, lists, probes, links, breadth, seed))
        vectors = vectors.detach().cpu().float()
        if metric == "cosine":
            vectors = normalised(vectors)
        exact = ExactSearcher.build(vectors, "l2" if metric == "l2" else "ip")
        return cls(_index_of(vectors, settings), exact, settings)

    @property
    def width(self) -> int:
        """How many numbers a vector has."""
        return self._exact.width

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
        """The ``k`` nearest rows of each query, nearest first, as nearly as the kind of index finds them.

        ``exclude`` lists rows that must not answer, for each query; ``allow`` the only ones that may, for all queries
        (a tensor) or for each (lists).

        Raises:
            SettingError: ``k`` below 1.
            InputError: queries of another width or device; filters that do not fit the queries.
            ValueRangeError: a query holds NaN or infinity; a filter names a row that does not exist.
        """
        check_k(k)
        check_queries(queries, self.width, torch.device("cpu"))
        filters = Filters.checked(len(self), len(queries), exclude, allow, queries.device)
        queries = normalised(queries.float()) if self._settings.metric == "cosine" else queries.float()
        rows = torch.full((len(queries), k), -1)
        scores = torch.full((len(queries), k), -torch.inf)
        needed = _needed(filters, len(queries), k)
        settled = torch.zeros(len(queries), dtype=torch.bool)
        for some in self._groups(needed, filters):
            near = self._near(queries[some], k, int(needed[some].max()), filters.take(some))
            rows[some], scores[some], settled[some] = near
        rest = (~settled).nonzero()[:, 0]
        if len(rest):
            part = filters.take(rest)
            found = self._exact.search(queries[rest], k, exclude=part.exclude, allow=part.allow)
            rows[rest], scores[rest] = found.rows, found.scores
        return Neighbours(rows, scores)

    def _groups(self, needed: Int64[Tensor, " batch"], filters: Filters) -> list[Int64[Tensor, " some"]]:
        """The queries that FAISS is asked, few enough at a time; none where the exact searcher does better."""
        shared = filters.shared
        open_rows = len(self) if shared is None else len(shared)
        few = open_rows * EXACT_SHARE <= len(self)
        # A selector takes FAISS's flat index off its matrix products.
        if filters.lists is not None or few or (shared is not None and self._settings.kind == "flat"):
            return []
        asked = ((needed * EXACT_SHARE <= open_rows) & (needed <= MOST_CANDIDATES)).nonzero()[:, 0]
        if not len(asked):
            return []
        together = max(1, CANDIDATE_BYTES // (4 * self.width * int(needed[asked].max())))
        return list(asked.split(together))

    def _near(
        self, queries: Float[Tensor, "batch width"], k: int, candidates: int, filters: Filters
    ) -> tuple[Int64[Tensor, "batch k"], Float[Tensor, "batch k"], Bool[Tensor, " batch"]]:
        """The best k among FAISS's candidates, and for which queries that settles it."""
        asked = torch.nn.functional.pad(queries, (0, self._index.d - self.width))
        parameters = _parameters(self._settings, candidates, filters.shared)
        found = torch.from_numpy(self._index.search(asked.numpy(), candidates, params=parameters)[1])
        closed = found < 0
        if filters.exclude is not None:
            closed |= contains(filters.exclude, found)
        scores = self._exact.scores(queries, found.clamp(min=0)).masked_fill_(closed, -torch.inf)
        best = by_score(scores, found.masked_fill_(closed, -1))
        last, after = best.scores[:, k - 1], best.scores[:, k]
        # An approximate index may not have seen the rows that a cut tie is about; a flat one has, and must be right.
        cut = (last == after) & (self._settings.kind == "flat")
        return best.columns[:, :k], best.scores[:, :k], (last > -torch.inf) & ~cut


def check_kind(kind: str) -> None:
    """Refuse a kind that nobody knows.

    Raises:
        SettingError: none of "flat", "ivf", "hnsw".
    """
    if kind not in get_args(Kind):
        raise SettingError(f"kind {kind!r}", expected="flat, ivf or hnsw")


def _checked(settings: _Settings) -> _Settings:
    check_metric(settings.metric)
    check_kind(settings.kind)
    for name in ("lists", "probes", "links", "breadth"):
        if getattr(settings, name) < 1:
            raise SettingError(f"{name} is {getattr(settings, name)}", expected="at least 1")
    return settings


def _index_of(vectors: Float[Tensor, "rows width"], settings: _Settings) -> Any:
    lifts = settings.kind == "hnsw" and settings.metric != "l2"
    stored = (lifted(vectors) if lifts else vectors).contiguous().numpy()
    width = stored.shape[1]
    by_distance = settings.metric == "l2" or lifts
    if settings.kind == "hnsw":
        index = faiss.IndexHNSWFlat(width, settings.links, faiss.METRIC_L2)
        index.hnsw.efConstruction = settings.breadth
    else:
        index = faiss.IndexFlatL2(width) if by_distance else faiss.IndexFlatIP(width)
    if settings.kind == "ivf":
        metric = faiss.METRIC_L2 if by_distance else faiss.METRIC_INNER_PRODUCT
        index = faiss.IndexIVFFlat(index, width, settings.lists, metric)
        index.cp.seed = settings.seed
        index.train(stored)
    index.add(stored)
    return index


def _parameters(settings: _Settings, candidates: int, shared: Tensor | None) -> Any:
    """Made for each call: FAISS writes into the parameters that it is given."""
    options: dict[str, Any] = {}
    if shared is not None:
        bits = np.zeros(int(shared.max()) // 8 * 8 + 8, dtype=bool)
        bits[shared.numpy()] = True
        options["sel"] = faiss.IDSelectorBitmap(np.packbits(bits, bitorder="little"))
    if settings.kind == "ivf":
        return faiss.SearchParametersIVF(nprobe=min(settings.probes, settings.lists), **options)
    if settings.kind == "hnsw":
        return faiss.SearchParametersHNSW(efSearch=max(settings.breadth, candidates), **options)
    return None


def _needed(filters: Filters, queries: int, k: int) -> Int64[Tensor, " batch"]:
    """Candidates that leave k after the excluded ones are struck out, and one that shows whether a tie was cut."""
    if filters.exclude is None:
        return torch.full((queries,), k + 1)
    return filters.exclude.offsets.diff() + k + 1
