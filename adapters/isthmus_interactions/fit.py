"""Fits a model, given by name, to interactions."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
from torch import nn

from isthmus import plugins
from isthmus.batch import Bag
from isthmus.checked.arguments import flag, real
from isthmus.core.rankers import ranker_of
from isthmus.disk.mapped import is_mapped
from isthmus.distributed import Joined, joined
from isthmus.errors import SettingError
from isthmus.fitted import quality
from isthmus.machine.devices import device_of
from isthmus.models.recipes.rebuild import rebuild
from isthmus.models.recipes.recipe import check_shard
from isthmus.models.recipes.settings import built, checked
from isthmus.protocols import Recipe
from isthmus.reprs import counted
from isthmus.tasks.evaluation import MetricAt
from isthmus.training.history import ERROR, History
from isthmus.training.interrupts import StopRequest, interruptible, warn_of_interruption
from isthmus.training.progress import NoProgress, doing
from isthmus.training.run import Run, Validation
from isthmus.vocabulary import Vocabulary
from isthmus_interactions.calibration.chances import Calibration
from isthmus_interactions.calibration.held_out import calibrated
from isthmus_interactions.cold_start import in_training
from isthmus_interactions.cold_start.features import ItemFeatures
from isthmus_interactions.csr import Ints, item_counts, places_in_rows, row_of_entry, select_rows, stored_where
from isthmus_interactions.everybody.train import FinalFit
from isthmus_interactions.fitted import FittedRecommender
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.order.folds import evaluate_fold, training_source
from isthmus_interactions.order.inputs import reads_of
from isthmus_interactions.order.temporal import check_before
from isthmus_interactions.overview import held_out
from isthmus_interactions.splits import FoldIn, aligned
from isthmus_interactions.vocabularies import translate

T = TypeVar("T")

EVERYBODY = "fitted_on_everybody"
"""Key in the facts of a bundle: the models that were fitted on all users, held-out ones among them."""

FEWEST = 50
"""Minimum number of users; with fewer, none are held out to choose the best epoch."""

MOST_HELD_OUT = 10_000
MIN_ITEMS = 5
"""Of the items of a user who is held out one in so many is hidden, and one at least."""

SHORTEST = 2
"""Fewer items than this leave nothing to hide."""

PART = 3
"""At most one in so many of the users who could be held out is."""

logger = logging.getLogger(__name__)


def fit(
    data: Interactions,
    name: str,
    validation: FoldIn | float,
    metric: str,
    run: Run,
    settings: Mapping[str, Any],
    features: ItemFeatures | None = None,
    *,
    refit: bool = True,
) -> FittedRecommender:
    """Build and fit a model. Raises the errors of ``Recommender.fit``.

    Args:
        data: interactions of all users.
        name: name of a builder.
        validation: held-out users who choose the best epoch, or the share of the users of ``data`` to hold out.
        metric: metric that chooses the best epoch.
        run: device, seed, precision, progress and checkpoints.
        settings: keywords of the builder.
        features: features of items, which are used in the training of linear models and networks; their weight is
            chosen on the held-out users, unless it is a setting.
        refit: whether the model is finally fitted on all users, including held-out ones.

    Returns:
        The fitted model for all users and items of ``data``.
    """
    with joined(run) as others:
        others.check_same("interactions", data.matrix.indptr, data.matrix.indices, data.matrix.data)
        return _fit(data, name, validation, metric, others, settings, features, flag("refit", refit))


def _fit(
    data: Interactions,
    name: str,
    validation: FoldIn | float,
    metric: str,
    others: Joined,
    settings: Mapping[str, Any],
    features: ItemFeatures | None,
    refit: bool,
) -> FittedRecommender:
    _, builder = plugins.find_builder(name, "interactions")
    whole, run = checked(name, builder, settings), others.run
    MetricAt.parse(metric)
    rows = None if features is None else in_training.feature_rows(features, data.items, data.matrix)

    def make() -> Recipe:
        return in_training.given(built(name, builder, Bag(len(data.items)), run, whole), rows)

    recipe = make()
    check_shard(run, rows=getattr(recipe, "by_rows", False), batches=getattr(recipe, "by_batches", False))
    train, fold = hold_out_users(data, validation, run.seed, last=reads_of(recipe.model).order)
    score = None if fold is None else validation_score(fold, metric)
    with interruptible() as stop:
        tried = [] if rows is None else _weigh_features(name, settings, whole, make, train, score, run)
        recipe = make() if tried else recipe
        final = FinalFit(name, make, data, run, stop)
        final.check_folder()
        history = recipe.fit(training_source(train, recipe.model), run, score)
        # Before the model is also trained on the users of the fold.
        scores = scores_of(recipe.model, fold, train, metric, run, stop)
        calibration = calibration_of(recipe.model, fold, run, stop)
        everybody = fold is None
        if refit and train is not data:
            recipe, everybody = final.of(recipe, history)
        history.interrupted = stop.requested
        if stop.requested:
            warn_of_interruption(history, [])
    found = quality.warn(held_out.findings(scores, plugins.python_name(name)))
    facts = facts_of(data, fold, run, history, scores, found)
    facts[EVERYBODY] = [plugins.python_name(name)] if everybody else []
    facts["seconds_in_all"] = time.perf_counter() - final.started
    if tried:
        facts[in_training.FACT] = tried
    model = others.finished(recipe.model, partial(rebuild, builder, Bag(len(data.items)), whole))
    return FittedRecommender.of(data, model, plugins.python_name(name), whole, facts, calibration)


def _weigh_features(
    name: str,
    settings: Mapping[str, Any],
    whole: dict[str, Any],
    make: Callable[[], Recipe],
    train: Interactions,
    score: Validation | None,
    run: Run,
) -> list[dict[str, Any]]:
    """Choose the weight of features in the training of a model and set it in ``whole``, from which ``make`` builds the
    model; returns the tried weights, or none if there is nothing to choose."""
    if not in_training.uses_features(name) or in_training.WEIGHT in settings:
        return []
    if score is None:
        logger.warning("no users are held out to choose how much features count: they do not count in training")
        return []
    silent = replace(run, progress=NoProgress(), checkpoints=None, resume=False)
    weights = in_training.weights_to_try(train, trained=make().chooses_epoch)

    def attempt(further: Mapping[str, Any]) -> History:
        whole.update(further)
        recipe = make()
        with doing(run.progress, f"trying features with the weight {further[in_training.WEIGHT]:g}"):
            history: History = recipe.fit(training_source(train, recipe.model), silent, score)
        return history

    whole[in_training.WEIGHT], tried = in_training.choose_weight(weights, attempt)
    return tried


def scores_of(
    model: nn.Module, fold: FoldIn | None, train: Interactions, metric: str, run: Run, stop: StopRequest
) -> dict[str, Any] | None:
    """Scores on the users of a fold, for the bundle; None without a fold, or after a signal.

    Args:
        model: the model, which must not have been trained on the users of the fold.
        fold: histories and held-out items of the users.
        train: interactions of the training users.
        metric: such as "ndcg@100".
        run: device and progress.
        stop: signals received during the whole ``fit``.
    """
    if fold is None:
        return None
    work = partial(held_out.measured, model, fold, train.matrix, metric, device_of(model))
    return _unless_stopped(f"measuring on {len(fold):,} users", work, run, stop)


def calibration_of(model: nn.Module, fold: FoldIn | None, run: Run, stop: StopRequest) -> Calibration | None:
    """The chances of hits on the users of a fold; None without a fold, with too few users or hits, or after a signal.
    The arguments are those of ``scores_of``."""
    if fold is None:
        return None
    work = partial(calibrated, model, fold, device_of(model))
    return _unless_stopped(f"calibrating on {len(fold):,} users", work, run, stop)


def _unless_stopped(what: str, work: Callable[[], T], run: Run, stop: StopRequest) -> T | None:
    """The result of some work; None after a signal."""
    found: list[T] = []
    with doing(run.progress, what):
        stop.optional(lambda: found.append(work()))
    return found[0] if found else None


def validation_score(fold: FoldIn, metric: str) -> Validation:
    """The validation score of a model on held-out users.

    Args:
        fold: histories and held-out items of the users.
        metric: such as "ndcg@100".

    Returns:
        The metric and the function that computes it, where the model is; higher is better.
    """

    latest: dict[str, float] = {}

    def score(model: nn.Module) -> float:
        found = evaluate_fold(ranker_of(model), reads_of(model), fold, (metric,), device_of(model))
        latest.update({f"{metric}{ERROR}": error for error in found.standard_errors.values()})
        return found.means[metric]

    return Validation(metric, score, watch=lambda model: dict(latest))


def facts_of(
    data: Interactions,
    fold: FoldIn | None,
    run: Run,
    history: History,
    scores: Mapping[str, Any] | None = None,
    warnings: Sequence[str] = (),
) -> dict[str, Any]:
    """Facts about the data and the training that are stored in a bundle.

    Args:
        data: training data.
        fold: the users who chose the epoch, if any.
        run: its seed is stored.
        history: history of the training.
        scores: scores on the users of the fold, as measured by ``overview.held_out``.
        warnings: problems that were found.

    Returns:
        A JSON document.
    """
    return {
        "users": len(data.users),
        "items": len(data.items),
        "interactions": data.nnz,
        "keep": data.report.keep,
        "kept": data.report.why,
        "weights": data.report.weights,
        **({"columns": dict(data.report.columns)} if data.report.columns else {}),
        **({"file": dict(data.report.file)} if data.report.file else {}),
        "validation_users": 0 if fold is None else len(set(fold.users)),
        "seed": run.seed,
        "training": history.to_json(),
        "warnings": list(warnings),
        **({} if scores is None else {held_out.FACT: dict(scores)}),
    }


def hold_out_users(
    data: Interactions, validation: FoldIn | float, seed: int, *, last: bool = False
) -> tuple[Interactions, FoldIn | None]:
    """Split users into training and validation. Both keep all items of the data, so that no known item is lost.

    The same data, share and seed give the same users. Only items of training users are hidden. No users are held out if
    there are too few, if nothing can be hidden, or if the share is 0.

    Args:
        data: interactions of all users.
        validation: a fold over the items of ``data``, or the share of users to hold out.
        seed: seed for the choice of users and of their hidden items.
        last: hide the last item of each user instead of random ones, if the order is known, for sequence models.

    Returns:
        The training users, and the fold; None if no users are held out.
    """
    if isinstance(validation, FoldIn):
        if validation.history.shape[1] != len(data.items):
            raise SettingError(
                f"a validation fold over {validation.history.shape[1]:,} items",
                expected=f"the {len(data.items):,} items of the training data, in their order",
                remedy="take both from one split",
            )
        _check_hidden(data, validation)
        return data, validation
    validation = real("validation", validation, "a share of the users from 0 to less than a half")
    if not 0 <= validation < 0.5:
        raise SettingError(f"validation={validation}", expected="a share of the users from 0 to less than a half")
    if validation == 0:
        return data, None
    rows = _askable(data, validation, seed)
    fold = _hidden(data, rows, seed, last and data.histories is not None) if len(rows) else None
    if fold is None:
        logger.info(
            "no users are held out and the last epoch is kept: too few (%s, %d of them with %d items or more)",
            counted(len(data), "user"),
            int((np.diff(data.matrix.indptr) >= SHORTEST).sum()),
            SHORTEST,
        )
        return data, None
    held = data.users.rows(fold.users)
    if not last and is_mapped(data.matrix.indices):
        # They would be copied to disk without being used.
        data = replace(data, histories=None)
    return data.select_users(np.setdiff1d(np.arange(len(data)), held)), fold


def _check_hidden(data: Interactions, fold: FoldIn) -> None:
    """Check that the items to find are not in the training data. Ids of users may be equal by chance if they are row
    numbers, so a few common interactions are ignored.

    Raises:
        SettingError: most of it is.
        InputError: a temporal fold with training data that are not before it.
    """
    if fold.at is not None:
        check_before(data, fold.at)
    rows = translate(Vocabulary(fold.users), data.users) if len(set(fold.users)) == len(fold.users) else None
    if rows is not None:
        asked = select_rows(fold.held_out, np.flatnonzero(rows >= 0))
        both = select_rows(data.matrix, rows[rows >= 0]).multiply(asked)
        if 2 * both.nnz > asked.nnz:
            raise SettingError(
                f"a validation fold of which {both.nnz:,} interactions to find are in the training data",
                expected="training data without them",
                remedy="take both from one split",
            )


def _askable(data: Interactions, share: float, seed: int) -> Ints:
    """Rows of the users to hold out: those with enough items or, if these are few, those with two."""
    sizes = np.diff(data.matrix.indptr)
    wanted = min(MOST_HELD_OUT, round(len(data) * share))
    if len(data) < FEWEST or not wanted:
        return np.empty(0, np.int64)
    pool = np.flatnonzero(sizes >= MIN_ITEMS)
    if len(pool) // PART < wanted:
        logger.info(
            "%d of %d users have %d items or more: users with fewer are held out, too", len(pool), len(data), MIN_ITEMS
        )
        pool = np.flatnonzero(sizes >= SHORTEST)
    chosen = np.random.default_rng(seed % 2**63).choice(pool, min(wanted, len(pool) // PART), replace=False)
    return np.sort(chosen)


def _hidden(data: Interactions, rows: Ints, seed: int, last: bool) -> FoldIn | None:
    """Hide a part of the items of some users, at least one, or the last one, among items that others have; None if
    nothing can be hidden."""
    part = data.select_users(rows)
    others = item_counts(data.matrix) - item_counts(part.matrix)
    known = others[part.matrix.indices] > 0
    order = np.where(known, np.random.default_rng([seed % 2**63, 1]).random(part.nnz), 2.0)
    quota = np.maximum(1, np.diff(part.matrix.indptr) // MIN_ITEMS)[row_of_entry(part.matrix)]
    if last and part.histories is not None:
        order, quota = np.where(known, -1.0 - part.histories.last_places(part.matrix), 2.0), np.ones_like(quota)
    hidden = known & (places_in_rows(part.matrix, order) < quota)
    if not hidden.any():
        return None
    history, held_out = stored_where(part.matrix, ~hidden), stored_where(part.matrix, hidden)
    return aligned(history, held_out, part.users, part.histories)
