"""The panels in the picture of a recommender."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from isthmus.errors import IsthmusError
from isthmus.plots import Missing, Panel, training_panels
from isthmus.plots.drawing import BLUE, GREY, VERMILION, Axes, bars, finish
from isthmus.plugins import command_name
from isthmus.sources import even_rows
from isthmus.training.history import ERROR
from isthmus_interactions.csr import item_counts
from isthmus_interactions.fitted import FittedRecommender
from isthmus_interactions.overview.held_out import ERRORS, FACT
from isthmus_interactions.recommend.engine import RecommendationEngine
from isthmus_interactions.recommend.filters import ItemFilters

USERS, ANSWERS = 500, 10
"""Number of training users, evenly spaced, for whom items are recommended, and number of items for each."""

BANDS = (0.01, 0.05, 0.2, 0.5, 1.0)
"""Shares of the catalogue, from the most popular items on, at which the popularity bands end."""

CANDIDATES = 12
"""Maximum number of candidates in the picture; the best ones are shown."""

SHARE = "share of "
Scored = tuple[str, float, float | None]
"""Name, mean score, and standard error (None if unknown)."""

ABOVE: Mapping[str, Any] = {"xytext": (0, 4), "textcoords": "offset points", "ha": "center", "fontsize": "x-small"}
"""Positions of the numbers at points and bars."""

NOT_KEPT = "the bundle does not contain them: it was updated, or saved by an earlier version"


def panels(fitted: FittedRecommender, engine: RecommendationEngine) -> list[Panel | Missing]:
    """Candidates, parts of a blend, training curves, scores by length of the history, and popularity of
    recommendations.

    Args:
        fitted: the model and the facts of its bundle.
        engine: recommends with this model.

    Returns:
        Panels, and in place of those that cannot be drawn the reasons.
    """
    return [_scores(fitted), *_blend(fitted), *_training(fitted), _by_history(fitted), _popularity(fitted, engine)]


def _scores(fitted: FittedRecommender) -> Panel | Missing:
    """Scores of the candidates, or of the model alone, and of popularity."""
    facts, metric, kept = fitted.facts, fitted.history.metric, fitted.facts.get(FACT)
    if metric is None or not facts.get("validation_users"):
        return Missing("scores", "no users were held out to evaluate the model on")
    lines = [
        (_named(line), float(line[metric]), line.get("standard_error"))
        for line in facts.get("tried", ())
        if line[metric] is not None
    ]
    if not lines:
        lines = _parts(fitted.history.records, metric)
    own = (kept["model"]["mean"], kept["model"]["standard_error"]) if kept else (fitted.history.best_score, None)
    if not lines and own[0] is not None:
        lines = [(command_name(fitted.builder), own[0], own[1])]
    lines = sorted(lines, key=lambda line: -line[1])[:CANDIDATES]
    if kept and fitted.builder != "popularity":
        lines.append(("popularity", kept["popularity"]["mean"], kept["popularity"]["standard_error"]))
    return Panel("scores", partial(_draw_scores, lines, metric, facts["validation_users"]))


def _named(line: Mapping[str, Any]) -> str:
    """Name of a candidate with the settings that distinguish it from others of the same name."""
    short = {"regularisation": "λ", "dropout": "p", "xi": "ξ"}
    settings = [f"{sign} {line['settings'][name]:g}" for name, sign in short.items() if name in line["settings"]]
    linear = settings and line["model"] in ("rdlae", "sparse_linear", "edlae", "ease")
    return f"{command_name(line['model'])} ({', '.join(settings)})" if linear else command_name(line["model"])


def _parts(records: Sequence[Mapping[str, Any]], metric: str) -> list[Scored]:
    """Scores of a blend that was chosen by name and of its parts."""
    last = records[-1] if records else {}
    alone = {key.removesuffix(" alone"): value for key, value in last.items() if key.endswith(" alone")}
    if not alone:
        return []
    whole = ("blend", float(last[metric]), last.get(f"{metric}{ERROR}"))
    return [whole, *((command_name(name), float(value), None) for name, value in alone.items())]


def _draw_scores(lines: Sequence[Scored], metric: str, users: int, axes: Axes) -> None:
    places, known = range(len(lines)), any(error for _, _, error in lines)
    for place, (name, mean, error) in zip(places, lines, strict=True):
        colour = GREY if name == "popularity" else VERMILION if place == 0 else BLUE
        axes.errorbar(mean, place, xerr=ERRORS * (error or 0.0) or None, fmt="o", color=colour, capsize=3, markersize=5)
        axes.annotate(f"{mean:.3f}", (mean, place), **ABOVE)
    axes.set_yticks(list(places), [name for name, *_ in lines])
    axes.set_ylim(len(lines) - 0.4, -0.7)
    axes.margins(x=0.12)
    bars_are = "; bars: 95 % interval" if known else ""
    what = "Models tried" if len(lines) > 2 else "Score"
    finish(axes, f"{what}, on {users:,} held-out users", f"{metric}; higher is better{bars_are}", "", grid="x")


def _blend(fitted: FittedRecommender) -> list[Panel | Missing]:
    """Weights of the parts, if there are any."""
    if fitted.builder != "blend" or not fitted.history.records:
        return []
    last = fitted.history.records[-1]
    shares = {key.removeprefix(SHARE): float(value) for key, value in last.items() if str(key).startswith(SHARE)}
    if not shares:
        return [Missing("blend", "the bundle does not contain the weights")]
    ordered = sorted(shares, key=lambda name: -shares[name])
    values = [shares[name] for name in ordered]

    def draw(axes: Axes) -> None:
        bars(axes, [command_name(name) for name in ordered], values, [f"{share:.0%}" for share in values])
        axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
        finish(axes, "Parts of the blend", "weight in the sum of scaled scores", "", grid="x")

    return [Panel("blend", draw)]


def _training(fitted: FittedRecommender) -> list[Panel | Missing]:
    """Training curves; the records of a blend's history are its parts instead of epochs."""
    if fitted.builder == "blend":
        return [Missing("training", "the bundle does not contain the training histories of a blend's parts")]
    return training_panels(fitted.history)


def _by_history(fitted: FittedRecommender) -> Panel | Missing:
    kept = fitted.facts.get(FACT)
    if not fitted.facts.get("validation_users"):
        return Missing("scores by history", "no users were held out to evaluate the model on")
    if not kept:
        return Missing(
            "scores by history",
            NOT_KEPT,
        )
    return Panel("scores by history", partial(_draw_by_history, kept))


def _draw_by_history(kept: Mapping[str, Any], axes: Axes) -> None:
    groups = kept["by_history"]
    places = np.arange(len(groups), dtype=np.float64)
    for shift, key, colour in ((-0.08, "popularity", GREY), (0.08, "model", VERMILION)):
        means = [group[key]["mean"] for group in groups]
        errors = [ERRORS * group[key]["standard_error"] for group in groups]
        axes.errorbar(places + shift, means, yerr=errors, fmt="o-", color=colour, capsize=3, markersize=5, label=key)
    ranges = [f"{g['least']}" if g["least"] == g["most"] else f"{g['least']}-{g['most']}" for g in groups]
    axes.set_xticks(places, [f"{one}\n({g['users']} users)" for one, g in zip(ranges, groups, strict=True)])
    axes.set_ylim(bottom=0)
    axes.margins(x=0.08)
    axes.legend(fontsize="x-small", frameon=False)
    title = "Score by length of the history (bars: 95 % interval)"
    finish(axes, title, "items in the history of a held-out user", f"{kept['metric']}; higher is better", grid="y")
    axes.tick_params(axis="x", labelsize="x-small")


def _popularity(fitted: FittedRecommender, engine: RecommendationEngine) -> Panel | Missing:
    name, users = "popularity", fitted.adapter.users
    rows = even_rows(len(users), USERS).tolist()
    try:
        answers = engine.recommend(
            engine.users(users.take(rows)), ANSWERS, exclude_seen=True, filters=ItemFilters(), diversity=0.0
        )
    except IsthmusError as error:
        return Missing(name, str(error))
    ids = [id_ for answer in answers for id_ in answer.ids]
    if not ids:
        return Missing(name, "no item is left to recommend")
    items = fitted.adapter.items
    recommended = np.bincount(items.rows(ids), minlength=len(items))
    counts = item_counts(fitted.interactions)
    return Panel(name, partial(_draw_popularity, counts, recommended, len(rows)))


def _draw_popularity(counts: Any, recommended: Any, users: int, axes: Axes) -> None:
    """Shares of interactions and of recommendations in popularity bands of the catalogue, most popular first."""
    order, ends = np.argsort(-counts, kind="stable"), [max(1, round(share * len(counts))) for share in BANDS]
    starts = [0, *ends[:-1]]
    told, asked = (
        [some[order[a:b]].sum() for a, b in zip(starts, ends, strict=True)] for some in (counts, recommended)
    )
    places = np.arange(len(ends))
    for shift, some, colour, label in ((-0.2, told, GREY, "in the data"), (0.2, asked, VERMILION, "recommended")):
        shares = np.array(some) / max(1, sum(some))
        axes.bar(places + shift, shares, width=0.38, color=colour, label=label)
        for place, share in zip(places, shares, strict=True):
            axes.annotate(f"{share:.0%}", (place + shift, share), **ABOVE)
    first = ["top 1 %", *(f"{a:.0%}-{b:.0%}".replace("%", "") + " %" for a, b in pairwise(BANDS))]
    axes.set_xticks(places, first)
    axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.legend(fontsize="x-small", frameon=False)
    different = int((recommended > 0).sum())
    title = f"Popularity of the top {ANSWERS} for {users:,} users\n({different:,} of {len(counts):,} items appear)"
    finish(
        axes, title, "items by popularity, the most popular first", "share of interactions or recommendations", grid="y"
    )
