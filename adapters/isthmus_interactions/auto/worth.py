"""The benefit of order and recency: the best score with them compared with the best without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isthmus import plugins
from isthmus_interactions.auto.candidate import Candidate
from isthmus_interactions.order.inputs import reads_of

KINDS = {"recency": "a half-life", "order": "items in order"}
"""Kinds of models that are compared with bags, and their descriptions."""


def worth(tried: Sequence[Candidate], metric: str) -> dict[str, Any]:
    """Compare the best model of bags with the best one that has a half-life, and that reads items in order.

    Args:
        tried: all candidates; blends do not count.
        metric: the metric that decided.

    Returns:
        The best score of "bags", "recency" and "order" as far as they were tried, with the name of the model, and
        ``told``, the comparison in sentences. Empty if only bags were tried.
    """
    best: dict[str, Candidate] = {}
    for candidate in sorted(tried, key=lambda one: -(one.score or 0.0)):
        if candidate.score is not None and candidate.name != "blend":
            best.setdefault(_kind(candidate), candidate)
    if "bags" not in best or len(best) == 1:
        return {}
    found: dict[str, Any] = {kind: {"model": one.name, metric: one.score} for kind, one in best.items()}
    base = best["bags"].score or 0.0
    told = []
    for kind, what in KINDS.items():
        if kind in best:
            score = best[kind].score or 0.0
            share = f" ({score / base - 1:+.0%})" if base else ""
            name = plugins.command_name(best[kind].name)
            told.append(f"{kind}: {metric} {score:.4f} with {what} ({name}), {base:.4f} for bags{share}")
    return {**found, "told": told}


def _kind(candidate: Candidate) -> str:
    if candidate.name == "recent":
        return "recency"
    if candidate.name.startswith("sequence_"):
        return "order"
    if candidate.recipe is None:
        return "bags"
    return "order" if reads_of(candidate.recipe.model).length is not None else "bags"
