"""The kinds of index that FAISS offers, by name: how each is built and asked, what it keeps, and when it pays."""

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

Name = Literal["flat", "fp16", "bf16", "sq8", "ivf", "ivf-lifted", "ivf-sq8", "ivf-pq", "rabitq", "hnsw", "hnsw-short"]

Grid = Callable[[FaissSettings], Sequence[Sequence[SearchSettings]]]
"""From what an index was built with to the settings to ask it with, along which recall and cost rise."""

EVERY: tuple[Metric, ...] = ("ip", "cosine", "l2")


@dataclass(frozen=True)
class FaissKind:
    """One kind.

    Attributes:
        learn: from lifted vectors to a structure; empty where nothing takes long.
        make: from finished vectors, settings and a finished structure to an index.
        parameters: from settings, candidates and options to FAISS's parameters of one search.
        fits: whether a structure that was read from somewhere can be that of these vectors.
        grid: the settings that are tried.
        tuned: those settings of an index that the grid changes.
        number_bytes: bytes of one number of a stored vector.
        transform: how vectors of a width are stored.
        defaults: the settings of an index, given its number of rows, width and seed.
        declines: why it cannot pay over some vectors; None where it may.
        row_bytes: beside the numbers, for each vector of a width.
        inverted: whether its structure is centroids, which are finished as vectors are.
        all_seen: every vector is compared in full.
        selects: a selector does not slow it down.
        metrics: those for which it is tried among all kinds.
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
    all_seen: bool = False
    selects: bool = True
    metrics: tuple[Metric, ...] = EVERY

    @property
    def structure_key(self) -> Hashable | None:
        """Lists share their k-means: those of plain vectors, and those of lifted ones."""
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
        row_bytes=lambda width: 8.0,
        inverted=True,
        metrics=metrics,
    )


LIFTED = VectorTransform(lifts=True)

# In the order in which they are tried: lists come first, because they share their k-means; a graph takes longest.
KINDS: Mapping[Name, FaissKind] = {
    # Exact search does what it does; it is there by name.
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
