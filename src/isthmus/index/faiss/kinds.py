"""The FAISS kinds of index by name: how each is built and searched, what it stores, and when it is useful."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from isthmus.errors import SettingError
from isthmus.index.exact.searcher import ExactSearcher
from isthmus.index.faiss import fast_scan, flat, hnsw, hnsw_pca, ivf
from isthmus.index.faiss.parameters import FaissSettings, SearchSettings
from isthmus.index.faiss.transforms import PLAIN, Array, TransformedVectors, VectorTransform
from isthmus.index.kinds import Structure
from isthmus.index.vectors import Metric

Name = Literal[
    "flat", "fp16", "bf16", "sq8",
    "ivf", "ivf-lifted", "ivf-bf16", "ivf-sq8", "ivf-pq", "rabitq",
    "hnsw", "hnsw-short",
]  # fmt: skip

Grid = Callable[[FaissSettings], Sequence[Sequence[SearchSettings]]]
"""A function from build settings to sequences of search settings along which recall and cost increase."""

EVERY: tuple[Metric, ...] = ("ip", "cosine", "l2")


@dataclass(frozen=True)
class FaissKind:
    """One kind.

    Attributes:
        learn: function from lifted vectors to a structure; empty if nothing is expensive to build.
        make: function from transformed vectors, settings and a transformed structure to an index.
        parameters: function from settings, candidates and options to FAISS's parameters of one search.
        fits: whether a structure that was read from a file can belong to these vectors.
        grid: the search settings that are tried.
        tuned: the settings of an index that the grid varies.
        number_bytes: bytes of one number of a stored vector.
        transform: how vectors of a width are stored.
        defaults: default settings for a number of rows, width and seed.
        declines: why it is not useful for some vectors; None if it may be.
        row_bytes: bytes per vector of a width in addition to its numbers.
        inverted: whether its structure consists of centroids, which are transformed like vectors.
        tells_lists: whether the lists of its vectors are saved beside the centroids.
        all_seen: whether every vector is compared in full.
        selects: whether a selector does not slow it down.
        metrics: the metrics for which it is tried among all kinds.
    """

    learn: Callable[[TransformedVectors, FaissSettings], Structure]
    make: Callable[[TransformedVectors, FaissSettings, Structure], Any]
    parameters: Callable[[FaissSettings, int, dict[str, Any]], Any]
    fits: Callable[[Structure, Array, FaissSettings], bool]
    grid: Grid
    tuned: Callable[[FaissSettings], SearchSettings]
    number_bytes: float = 4.0
    transform: Callable[[int], VectorTransform] = lambda width: PLAIN
    defaults: Callable[[int, int, int], FaissSettings] = lambda rows, width, seed: FaissSettings.checked(
        rows, seed=seed
    )
    declines: Callable[[ExactSearcher], str | None] = lambda exact: None
    row_bytes: Callable[[int], float] = lambda width: 0.0
    inverted: bool = False
    tells_lists: bool = False
    all_seen: bool = False
    selects: bool = True
    metrics: tuple[Metric, ...] = EVERY

    @property
    def structure_key(self) -> Hashable | None:
        """Kinds with inverted lists share a k-means: one for plain and one for lifted vectors."""
        return ("centroids", self.transform(1).lifts) if self.inverted else None


def _scanned(make: Callable[[TransformedVectors, FaissSettings, Structure], Any], number_bytes: float) -> FaissKind:
    return FaissKind(
        flat.learn, make, flat.parameters, flat.fits, flat.grid, flat.tuned, number_bytes=number_bytes, selects=False
    )


def _listed(
    make: Callable[[TransformedVectors, FaissSettings, Structure], Any],
    grid: Grid,
    number_bytes: float,
    transform: Callable[[int], VectorTransform] = lambda width: PLAIN,
    metrics: tuple[Metric, ...] = EVERY,
) -> FaissKind:
    return FaissKind(
        ivf.learn,
        make,
        ivf.parameters,
        ivf.fits,
        grid,
        ivf.tuned,
        number_bytes=number_bytes,
        transform=transform,
        defaults=ivf.defaults,
        row_bytes=lambda width: 8.0,
        inverted=True,
        tells_lists=make in (ivf.full, ivf.bf16, ivf.sq8),
        metrics=metrics,
    )


LIFTED = VectorTransform(lifts=True)

# In the order in which they are tried: inverted lists first, because they share a k-means; graphs take longest.
KINDS: Mapping[Name, FaissKind] = {
    # Exact search does the same; this kind is only available by name.
    "flat": FaissKind(
        flat.learn,
        flat.full,
        flat.parameters,
        flat.fits,
        flat.grid,
        flat.tuned,
        all_seen=True,
        selects=False,
        metrics=(),
    ),
    "ivf": _listed(ivf.full, ivf.grid, 4.0),
    # Lifting changes only inner products.
    "ivf-lifted": _listed(ivf.full, ivf.grid, 4.0, lambda width: LIFTED, metrics=("ip",)),
    "ivf-bf16": _listed(ivf.bf16, ivf.grid, 2.0),
    "ivf-sq8": _listed(ivf.sq8, ivf.grid_of_bytes, 1.0),
    "ivf-pq": _listed(
        fast_scan.product_quantised,
        fast_scan.grid,
        0.25,
        lambda width: VectorTransform(multiple=fast_scan.piece(width)),
    ),
    "rabitq": _listed(fast_scan.one_bit, fast_scan.grid, 0.125, lambda width: VectorTransform(rotates=True)),
    "hnsw-short": FaissKind(
        hnsw_pca.learn,
        hnsw_pca.make,
        hnsw.parameters,
        hnsw_pca.fits,
        hnsw_pca.grid,
        hnsw_pca.tuned,
        transform=lambda width: LIFTED,
        declines=hnsw_pca.declines,
        row_bytes=lambda width: hnsw.row_bytes(FaissSettings(1, 1)),
    ),
    "hnsw": FaissKind(
        hnsw.learn,
        hnsw.make,
        hnsw.parameters,
        hnsw.fits,
        hnsw.grid,
        hnsw.tuned,
        transform=lambda width: LIFTED,
        defaults=hnsw.defaults,
        row_bytes=lambda width: hnsw.row_bytes(hnsw.defaults(1, width, 0)),
    ),
    "sq8": _scanned(flat.sq8, 1.0),
    "fp16": _scanned(flat.fp16, 2.0),
    "bf16": _scanned(flat.bf16, 2.0),
}


def check_kind(kind: str) -> Name:
    """The same, if FAISS has it.

    Raises:
        SettingError: none of the names.
    """
    for name in get_args(Name):
        if kind == name:
            known: Name = name
            return known
    raise SettingError(f"kind {kind!r}", expected=f"one of {', '.join(get_args(Name))}")
