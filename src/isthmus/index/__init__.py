"""Nearest neighbours of any vectors: exact or approximate, filtered, updated and saved.

``Index`` works with external ids. ``searcher_over`` returns the searcher that an ``Index`` would use, for code that
handles ids itself; ``ExactSearcher`` is the reference for all other searchers. A new kind of approximate index is an
``IndexKind``, registered by ``register``. Imports are lazy: exact search does not need FAISS.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isthmus.index.candidates import check_search as check_search
    from isthmus.index.candidates import rank_candidates as rank_candidates
    from isthmus.index.exact.filters import Filters as Filters
    from isthmus.index.exact.searcher import ExactSearcher as ExactSearcher
    from isthmus.index.exact.searcher import rank as rank
    from isthmus.index.index import Index as Index
    from isthmus.index.index import build_each as build_each
    from isthmus.index.kinds import ApproximateSearcher as ApproximateSearcher
    from isthmus.index.kinds import IndexKind as IndexKind
    from isthmus.index.registry import register as register
    from isthmus.index.search import Hit as Hit
    from isthmus.index.search import Hits as Hits
    from isthmus.index.search import SearchHits as SearchHits
    from isthmus.index.searchers import kind_for as kind_for
    from isthmus.index.searchers import searcher_over as searcher_over
    from isthmus.index.sharded.sharded_index import ShardedIndex as ShardedIndex
    from isthmus.index.tuning.budget import Budget as Budget
    from isthmus.index.vectors import Metric as Metric

_HOMES = {
    "ApproximateSearcher": "kinds",
    "Budget": "tuning.budget",
    "ExactSearcher": "exact.searcher",
    "Filters": "exact.filters",
    "Hit": "search",
    "Hits": "search",
    "Index": "index",
    "IndexKind": "kinds",
    "Metric": "vectors",
    "SearchHits": "search",
    "ShardedIndex": "sharded.sharded_index",
    "build_each": "index",
    "check_search": "candidates",
    "kind_for": "searchers",
    "rank": "exact.searcher",
    "rank_candidates": "candidates",
    "register": "registry",
    "searcher_over": "searchers",
}

__all__ = [
    "ApproximateSearcher",
    "Budget",
    "ExactSearcher",
    "Filters",
    "Hit",
    "Hits",
    "Index",
    "IndexKind",
    "Metric",
    "SearchHits",
    "ShardedIndex",
    "build_each",
    "check_search",
    "kind_for",
    "rank",
    "rank_candidates",
    "register",
    "searcher_over",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
