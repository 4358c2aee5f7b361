"""From interactions and a model's name to a fitted model."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from torch import nn

from isthmus import plugins
from isthmus.batch import Bag
from isthmus.core.rankers import ranker_of
from isthmus.errors import SettingError
from isthmus.protocols import Builder
from isthmus.sources import BagSource
from isthmus.tasks.evaluation import evaluate
from isthmus.training.run import Run, Validation
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.matrices import Csr
from isthmus_interactions.splits import FoldIn, strong

FEWEST = 50
"""With fewer people than this none are held out to choose the best epoch."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fitted:
    """A fitted model, the builder's Python name, and what is worth telling."""

    model: nn.Module
    builder: str
    facts: Mapping[str, Any]


def fit(
    data: Interactions, name: str, validation: FoldIn | float, metric: str, run: Run, settings: Mapping[str, Any]
) -> Fitted:
    """Build and fit. Raises what ``Recommender.fit`` raises."""
    _, builder = plugins.find_builder(name, "interactions")
    check_settings(name, builder, settings)
    train, fold = _parted(data, validation, run.seed)
    recipe = builder(Bag(len(data.items)), generator=run.generator(), **settings)

    def score(model: nn.Module) -> float:
        assert fold is not None
        device = run.torch_device()
        return evaluate(ranker_of(model), fold.history, fold.held_out, (metric,), device=device).means[metric]

    source = BagSource.from_csr(train.matrix)
    history = recipe.fit(source, run, None if fold is None else Validation(metric, score))
    facts = {"validation_people": 0 if fold is None else len(fold), "seed": run.seed, "training": history.to_json()}
    return Fitted(recipe.model, plugins.python_name(name), facts)


def check_settings(name: str, builder: Builder, settings: Mapping[str, Any]) -> None:
    """Refuse settings that the builder does not know.

    Raises:
        SettingError: naming the setting and those that exist.
    """
    known = [key for key in inspect.signature(builder).parameters if key not in ("signal", "generator")]
    for key in settings:
        if key not in known:
            raise SettingError(
                f"{name} has no setting {key!r}",
                expected=f"one of: {', '.join(known)}",
                remedy=plugins.closest(key, known),
            )


def _parted(data: Interactions, validation: FoldIn | float, seed: int) -> tuple[Interactions, FoldIn | None]:
    """Who trains and who is asked about; the items stay those of all the data, so that no known item is lost."""
    if isinstance(validation, FoldIn):
        return data, validation
    if not 0 <= validation < 0.5:
        raise SettingError(f"validation={validation}", expected="a share of the people from 0 to less than a half")
    if validation == 0 or len(data) < FEWEST:
        if validation:
            logger.info("%d people are too few to hold some out: training runs to its last epoch", len(data))
        return data, None
    people = max(1, min(10_000, round(len(data) * validation)))
    try:
        split = strong(data, held_out=people, min_items=5, seed=seed)
    except SettingError as error:
        logger.info("nobody is held out to choose the best epoch: %s", error)
        return data, None
    assert split.validation is not None
    return _without(data, split.validation), _over(split.validation, split.train, data)


def _without(data: Interactions, fold: FoldIn) -> Interactions:
    held = data.users.rows(fold.users)
    return data.select_users(np.setdiff1d(np.arange(len(data)), held))


def _over(fold: FoldIn, narrow: Interactions, data: Interactions) -> FoldIn:
    """The fold over the columns of all the data."""
    columns = data.items.rows(narrow.items.ids.tolist())
    shape = (len(fold), len(data.items))

    def widened(matrix: Csr) -> Csr:
        wide: Csr = csr_array((matrix.data, columns[matrix.indices], matrix.indptr), shape)
        wide.sort_indices()
        return wide

    return FoldIn(widened(fold.history), widened(fold.held_out), fold.users)
