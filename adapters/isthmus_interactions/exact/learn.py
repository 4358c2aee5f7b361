"""Learns new interactions, which gives the model that a fit on all interactions would give."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from isthmus import plugins
from isthmus.checked.arguments import whole
from isthmus.core.linear.changing import ChangingInverse
from isthmus.errors import SettingError
from isthmus_interactions.cold_start import in_training
from isthmus_interactions.cold_start.extend import check_without_features
from isthmus_interactions.exact.check import checked_inverse
from isthmus_interactions.exact.data import ChangedData, with_events
from isthmus_interactions.exact.state import solver_of, with_inverse
from isthmus_interactions.fitted import FittedRecommender
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.recommend.titles import known_titles

OUTDATED = ("before", "trained_by")
"""Facts that do not apply to a model that has learned more interactions."""


def learn(old: FittedRecommender, new: Interactions, check: int, titles: Mapping[Any, str]) -> FittedRecommender:
    """The state of the recommender that also knows new interactions. Raises the errors of ``Recommender.learn``.

    Args:
        old: state so far.
        new: interactions of old and new users with old and new items.
        check: number of columns to check.
        titles: further titles, by id.

    Returns:
        The state for all users and items.
    """
    started, check = time.perf_counter(), whole("check", check)
    check_without_features(old.model)
    in_training.check_without("exact learning", old.builder, old.settings)
    if old.inverse is None and solver_of(old, len(old.adapter.items)) is None:
        raise _not_exact(old)
    changed = with_events(old, new)
    data, how = changed.data, "solved anew" if old.inverse is None else "low rank"
    inverse = _inverse(old, changed)
    inverse, found = checked_inverse(inverse, data.matrix, changed.after, check)
    report = {
        "how": f"learned exactly ({how})",
        "users": len(data.users) - len(old.adapter.users),
        "items": len(data.items) - len(old.adapter.items),
        "interactions": data.nnz - int(old.interactions.nnz),
        **found,
    }
    kept = {name: fact for name, fact in old.facts.items() if name not in OUTDATED}
    named = {**old.titles, **known_titles(titles, data.items)}
    made = FittedRecommender.of(data, old.model, old.builder, old.settings, kept, old.calibration).with_titles(named)
    made = with_inverse(made, inverse, old)
    report["seconds"] = round(time.perf_counter() - started, 4)
    return replace(made, facts=with_report(kept, data, report))


def with_report(facts: Mapping[str, Any], data: Interactions, report: Mapping[str, Any]) -> dict[str, Any]:
    """Facts with the sizes of the current data and an additional report of a change."""
    sizes = {"users": len(data.users), "items": len(data.items), "interactions": data.nnz}
    return {**facts, **sizes, "updates": [*facts.get("updates", []), dict(report)]}


def _inverse(old: FittedRecommender, changed: ChangedData) -> ChangingInverse:
    inverse, width = old.inverse, len(changed.data.items)
    if inverse is None:
        solver = solver_of(old, width)
        assert solver is not None
        return solver(changed.data.matrix)
    inverse = inverse if width == inverse.width else inverse.wider(width)
    if not changed.after.shape[0]:
        return inverse
    return inverse.changed(changed.before, changed.after, changed.data.matrix)


def _not_exact(old: FittedRecommender) -> SettingError:
    return SettingError(
        f"learn for {plugins.command_name(old.builder)}, which cannot learn exactly",
        expected="a dense closed form: ease, edlae or rdlae, with length_power=0",
        remedy="update(...) continues from its weights, or fits it again",
        option="isthmus update DIR FILE continues from its weights, or fits it again",
    )
