"""Builds the report of a recommender on a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Unpack

import numpy as np

from isthmus import plugins
from isthmus.checked.arguments import checked_k, whole
from isthmus.errors import InputError
from isthmus.protocols import Ranker
from isthmus_interactions.files.read_like import read_like
from isthmus_interactions.files.reading import Reading
from isthmus_interactions.fitted import FittedRecommender
from isthmus_interactions.order.folds import rank_fold
from isthmus_interactions.order.inputs import BAGS, Reads, reads_of
from isthmus_interactions.order.popular import recent_popularity
from isthmus_interactions.recommend.engine import RecommendationEngine
from isthmus_interactions.recommend.protocols import ALIASES, Protocol, asked_fold
from isthmus_interactions.recommend.timed_protocols import PROTOCOLS
from isthmus_interactions.report import checks, pictures, slices
from isthmus_interactions.report.checks import Check
from isthmus_interactions.report.events import checked_events
from isthmus_interactions.report.promised import promised
from isthmus_interactions.report.quality import AHEAD, MODEL, Measured, measured
from isthmus_interactions.report.report import QualityReport
from isthmus_interactions.report.slices import Slice
from isthmus_interactions.splits import FoldIn

ORDER = ("fault", "note", "ok")


@dataclass(frozen=True)
class Asked:
    """Options of a report; see ``Recommender.report``."""

    k: int
    protocol: Protocol
    samples: int


def built(
    fitted: FittedRecommender, engine: RecommendationEngine, test: Any, asked: Asked, **reading: Unpack[Reading]
) -> QualityReport:
    """Build the report. Raises the errors of ``Recommender.report``.

    Args:
        fitted: the recommender.
        engine: ranks with it.
        test: events, as ``Interactions.read`` accepts them.
        asked: options of the report.
        reading: how to read ``test`` if it differs from the training data.

    Returns:
        The report.
    """
    k, samples = checked_k(asked.k), whole("samples", asked.samples, least=1)
    if isinstance(test, FoldIn):
        raise InputError("a fold", expected="events, whose times and repetitions are checked, too")
    split = asked.protocol.split
    timed = True if split in PROTOCOLS or ALIASES.get(str(split), split) == "last" else None
    data = read_like(fitted, test, timed=timed, **reading)
    found = asked_fold(fitted, data, asked.protocol)
    fold, trained = found.fold, fitted.interactions
    k = min(k, len(fitted.adapter.items))
    ranked = {
        name: rank_fold(ranker, reads, fold, k, fitted.device, seen=found.seen)
        for name, (ranker, reads) in _rankers(fitted, engine).items()
    }
    rows = ranked[MODEL].rows
    people = slices.by_history(np.diff(fold.history.indptr)[rows])
    things = slices.by_popularity(np.bincount(trained.indices, minlength=trained.shape[1]))
    generator = np.random.default_rng([asked.protocol.seed % 2**63, 2])
    scores = measured(ranked, fold.held_out, trained, people, things, samples, generator)
    promises = promised(fitted, fold, k)
    verdicts = [*checked_events(fitted, data, found.split), *_of_model(fitted, scores, len(rows), k, people)]
    verdicts += [promises.check] if promises else []
    return QualityReport(
        facts=_facts(fitted, len(rows), int(fold.held_out.nnz), k, found.split, found.seen),
        protocol=found.protocol,
        remarks=found.remarks,
        checks=sorted(verdicts, key=lambda check: ORDER.index(check.level)),
        scores=_scores(scores, trained.shape[1]),
        users=_by_users(scores, people),
        items=_by_items(scores, things),
        panels=[*pictures.panels(scores, people, things), *([promises.panel] if promises else [])],
        calibration=promises.rows if promises else (),
    )


def _rankers(fitted: FittedRecommender, engine: RecommendationEngine) -> Mapping[str, tuple[Ranker, Reads]]:
    """The model, popularity, and that of the last week and month if times are known."""
    recent = {name: (ranker, BAGS) for name, ranker in recent_popularity(fitted).items()}
    return {MODEL: (engine.ranker, reads_of(fitted.model)), "popularity": (engine.popularity, BAGS), **recent}


def _facts(fitted: FittedRecommender, users: int, wanted: int, k: int, split: str, seen: str) -> dict[str, Any]:
    return {
        "model": plugins.command_name(fitted.builder),
        "settings": dict(fitted.settings),
        "trained_on": {name: fitted.facts[name] for name in ("users", "items", "interactions")},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "k": k,
        "split": split,
        "seen": seen,
        "users": users,
        "items_to_find": wanted,
    }


def _of_model(fitted: FittedRecommender, scores: Measured, users: int, k: int, people: Sequence[Slice]) -> list[Check]:
    """Checks of the model; popularity is not compared with itself."""
    size = checks.enough_users(users)
    if fitted.builder == "popularity":
        return [size]
    metric, others = scores.ndcg, [name for name in scores.rankers if name != MODEL]
    own, possible = scores.of(MODEL, metric), min(fitted.interactions.shape[1], k * users)
    compared = [
        checks.better_than(name, metric, scores.of(name, AHEAD), own, scores.of(name, metric)) for name in others
    ]
    behind = [part for part in people if scores.of("popularity", AHEAD, part.name).high < 0]
    parts = checks.behind([f"{part.name} interactions ({part.what})" for part in behind])
    shared = (scores.shared[MODEL], scores.shared["popularity"])
    variety = checks.variety(scores.answered[MODEL], possible, *shared, k)
    return [size, *compared, *([parts] if len(people) > 1 else []), variety]


def _scores(scores: Measured, items: int) -> list[dict[str, Any]]:
    novelty = scores.recall.replace("recall", "novelty")
    return [
        {
            "ranker": name,
            **_columns(scores, name, (scores.recall, scores.ndcg, novelty)),
            "coverage": scores.answered[name] / items,
            "different_items": scores.answered[name],
            **({} if name == MODEL else {f"{AHEAD} in {scores.ndcg}": scores.of(name, AHEAD).document()}),
        }
        for name in scores.rankers
    ]


def _by_users(scores: Measured, people: Sequence[Slice]) -> list[dict[str, Any]]:
    return [
        {"interactions": part.name, "range": part.what, "users": len(part.rows), "ranker": name,
         **_columns(scores, name, (scores.recall, scores.ndcg), part.name)}
        for part in people
        for name in scores.rankers
    ]  # fmt: skip


def _by_items(scores: Measured, things: Sequence[Slice]) -> list[dict[str, Any]]:
    return [
        {"items": part.name, "range": part.what, "ranker": name, **_columns(scores, name, (scores.recall,), part.name)}
        for part in things
        for name in scores.rankers
    ]


def _columns(scores: Measured, name: str, metrics: Sequence[str], part: str = "") -> dict[str, Any]:
    return {metric: scores.of(name, metric, part).document() for metric in metrics}
