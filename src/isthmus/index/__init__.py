"""Nearest rows: right, fast, filtered, changing and saved. ``Index`` is the face; ``exact`` is the reference and asks
rankers too; ``faiss`` is the only package that imports FAISS. Nothing is imported before it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isthmus.index.index import Index as Index
    from isthmus.index.index import build_each as build_each
    from isthmus.index.search import Found as Found
    from isthmus.index.tuning.budget import Budget as Budget

_HOMES = {"Budget": "tuning.budget", "Found": "search", "Index": "index", "build_each": "index"}

__all__ = ["Budget", "Found", "Index", "build_each"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
