"""Forgets users and items, which gives the model that a fit without them would give."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from isthmus.checked.arguments import whole
from isthmus.core.linear.changing import ChangingInverse
from isthmus.errors import InputError
from isthmus.training.run import Run
from isthmus.vocabulary import Rows
from isthmus_interactions import fit
from isthmus_interactions.cold_start import in_training
from isthmus_interactions.cold_start.extend import check_without_features
from isthmus_interactions.csr import select_rows
from isthmus_interactions.exact.check import checked_inverse
from isthmus_interactions.exact.data import ChangedData, interactions_of, without_items, without_users
from isthmus_interactions.exact.learn import with_report
from isthmus_interactions.exact.splice import without_columns
from isthmus_interactions.exact.state import solver_of, with_inverse
from isthmus_interactions.fitted import FittedRecommender
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.recommend.histories import GivenId, id_list
from isthmus_interactions.recommend.suggest import item_rows

OF_OLD_WEIGHTS = ("trained_by", "fitted_on_everybody")
"""Facts that do not apply to a model that is fitted again."""


@dataclass(frozen=True)
class Refit:
    """Training options of a model that is fitted again.

    Attributes:
        validation: share of users to hold out.
        metric: metric that chooses the best epoch; None for that of the last training.
        run: device, seed, precision and progress.
    """

    validation: float
    metric: str | None
    run: Run


def forget(
    old: FittedRecommender,
    users: Sequence[GivenId] | None,
    items: Sequence[GivenId] | None,
    check: int,
    refit: Refit,
) -> FittedRecommender:
    """The state of the recommender without some users and items. Raises the errors of ``Recommender.forget``.

    Args:
        old: state so far.
        users: users to forget.
        items: items to forget.
        check: number of columns of a closed form to check.
        refit: how other models are trained again.

    Returns:
        The state of what remains.
    """
    started, check = time.perf_counter(), whole("check", check)
    check_without_features(old.model)
    in_training.check_without("forgetting", old.builder, old.settings)
    people, things = _rows(old, users, items)
    known = interactions_of(old)
    change = without_users(known, people)
    data = without_items(change.data, things) if len(things) else change.data
    inverse = _inverse(old, change, data, things)
    if inverse is None:
        made, report = _fitted_anew(old, data, refit)
    else:
        how = "solved anew" if old.inverse is None else "low rank"
        touched = without_columns(select_rows(known.matrix, people), things)
        inverse, found = checked_inverse(inverse, data.matrix, touched, check)
        made = FittedRecommender.of(data, old.model, old.builder, old.settings, old.facts, old.calibration)
        made = with_inverse(made, inverse, old)
        report = {"how": f"forgotten exactly ({how})", **found}
    lost = {
        "users": -len(people),
        "items": -len(things),
        "interactions": data.nnz - known.nnz,
        "seconds": round(time.perf_counter() - started, 4),
    }
    titles = {id_: title for id_, title in old.titles.items() if id_ in data.items}
    return replace(made, titles=titles, facts=with_report(made.facts, data, {**report, **lost}))


def _rows(
    old: FittedRecommender, users: Sequence[GivenId] | None, items: Sequence[GivenId] | None
) -> tuple[Rows, Rows]:
    known = old.adapter.users
    people = known.rows(id_list(users, known)) if users is not None else np.empty(0, np.int64)
    things = item_rows(old, items) if items is not None else np.empty(0, np.int64)
    if not len(people) and not len(things):
        raise InputError(
            "forget without users and items",
            expected="ids of either",
            remedy="name them with users=[...] or items=[...]",
            option="name them with --users or --items",
        )
    return np.unique(people), np.unique(things)


def _inverse(old: FittedRecommender, change: ChangedData, data: Interactions, things: Rows) -> ChangingInverse | None:
    """The inverse without some rows, and then without some columns; None for a model without an inverse."""
    inverse = old.inverse
    if inverse is None:
        solver = solver_of(old, len(data.items))
        return None if solver is None else solver(data.matrix)
    if change.before.nnz:
        inverse = inverse.changed(change.before, change.after, change.data.matrix)
    return inverse.without(things) if len(things) else inverse


def _fitted_anew(old: FittedRecommender, data: Interactions, how: Refit) -> tuple[FittedRecommender, dict[str, Any]]:
    metric = how.metric or old.facts["training"]["metric"] or "ndcg@100"
    made = fit.fit(data, old.builder, how.validation, metric, how.run, old.settings)
    kept = {name: fact for name, fact in old.facts.items() if name not in OF_OLD_WEIGHTS}
    return replace(made, facts={**kept, **made.facts}), {
        "how": "fitted anew",
        "columns_checked": 0,
        "largest_difference": None,
    }
