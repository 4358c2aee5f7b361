"""Features of items in training: as further rows of linear models, as a second input of networks, and for neighbours by
content.

Items with few interactions benefit from them, not only those without any, which ``extend`` adds afterwards. For a
linear model each feature (a tag, a word, a dimension of an embedding) is a row, like a user who has all items with that
feature; for a network see ``isthmus.models.parts.item_tables``. The weight of features is chosen on held-out users.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from isthmus import plugins
from isthmus.errors import SettingError
from isthmus.models.blend import BlendRecipe
from isthmus.models.linear import ClosedFormRecipe
from isthmus.models.recipes.recent import RecentRecipe
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.models.recipes.settings import keywords_of
from isthmus.models.sparse_linear import ColumnwiseRecipe
from isthmus.protocols import Recipe
from isthmus.training.history import History
from isthmus.vocabulary import Vocabulary
from isthmus_interactions.cold_start.content_neighbours import ContentRecipe
from isthmus_interactions.cold_start.features import ItemFeatures
from isthmus_interactions.cold_start.match_items import match_items_to_features
from isthmus_interactions.csr import Csr
from isthmus_interactions.interactions import Interactions

WEIGHT = "feature_weight"
"""The setting of a builder for the weight of features."""

CONTENT = "content_knn"
"""The model of neighbours by content, which needs features."""

FACT = "feature_weights"
"""Key in the facts of a bundle: the weights that were tried."""

SHARES = (0.0, 0.1, 0.3, 1.0, 3.0)
"""Weights that are tried, as shares of the mean number of interactions of an item."""

logger = logging.getLogger(__name__)


def feature_rows(features: ItemFeatures, items: Vocabulary, interactions: Csr) -> Csr:
    """Features of the items of the training data as rows.

    Args:
        features: features of these and of other items.
        items: the items of the training data.
        interactions: training interactions, shape (users, items).

    Returns:
        Shape (features, items), columns of norm 1; zeros for items without features.

    Raises:
        InputError: fewer than two items with features have interactions, or ids of another kind (text and numbers).
    """
    place = match_items_to_features(items, interactions, features).place[: len(items)]
    own = csr_array(features.rows(np.maximum(place, 0)))
    own.data = own.data * np.repeat(place >= 0, np.diff(own.indptr)).astype(own.dtype)
    rows: Csr = csr_array(own.T.tocsr())
    rows.eliminate_zeros()
    return rows


def given(recipe: Recipe, rows: Csr | None) -> Recipe:
    """The recipe with features of items, if it or parts of it can use them."""
    if rows is None:
        return recipe
    if isinstance(recipe, BlendRecipe):
        return replace(recipe, recipes=[given(part, rows) for part in recipe.recipes])
    if isinstance(recipe, RecentRecipe):
        return replace(recipe, recipe=given(recipe.recipe, rows))
    if isinstance(recipe, ClosedFormRecipe | ColumnwiseRecipe | ContentRecipe | GradientRecipe):
        return replace(recipe, features=rows)
    return recipe


def counts(builder: str, settings: Mapping[str, Any]) -> bool:
    """Whether features were used in the training of a model, or of a part of it.

    Args:
        builder: name of the model, as in Python.
        settings: all its keywords.
    """
    if builder == CONTENT or settings.get(WEIGHT):
        return True
    parts = [(part["model"], part["settings"]) for part in settings.get("parts") or ()]
    inner = [(settings["of"], settings["settings"] or {})] if builder == "recent" else []
    return any(counts(*part) for part in (*parts, *inner))


def check_without(what: str, builder: str, settings: Mapping[str, Any]) -> None:
    """Check that no features were used in the training of a model: they are not kept with it.

    Args:
        what: what is to be done with the model, such as "an update".
        builder: name of the model, as in Python.
        settings: all its keywords.

    Raises:
        SettingError: features were used.
    """
    if counts(builder, settings):
        raise SettingError(
            f"{what} of a recommender that was trained with features of items, which it does not keep",
            expected="one trained without them (feature_weight=0)",
            remedy="fit on all data with features= again",
            option="fit on all data with --features again",
        )


def uses_features(name: str) -> bool:
    """Whether features can be used in the training of a model."""
    return WEIGHT in keywords_of(plugins.find_builder(name, "interactions")[1])


def weights_to_try(data: Interactions, *, trained: bool = False) -> list[float]:
    """Weights of features, 0 first.

    Args:
        data: interactions of the training users.
        trained: whether the model is trained by gradient descent, which takes long and learns itself how much features
            count.
    """
    if trained:
        return [0.0, 1.0]
    mean = data.nnz / max(1, len(data.items))
    return [float(f"{share * mean:.3g}") for share in SHARES]


def choose_weight(
    weights: list[float], attempt: Callable[[Mapping[str, Any]], History]
) -> tuple[float, list[dict[str, Any]]]:
    """The weight of features with the best score; the smallest of ties.

    Args:
        weights: weights to try, ascending.
        attempt: fits the model with further settings on the training users; its history has a score.

    Returns:
        The weight, and the score of each that was tried.

    Raises:
        KeyboardInterrupt: Ctrl-C.
    """
    tried: list[dict[str, Any]] = []
    for weight in weights:
        history = attempt({WEIGHT: weight})
        if history.interrupted:
            raise KeyboardInterrupt
        tried.append({WEIGHT: weight, "score": history.best_score})
    scores = [-np.inf if one["score"] is None else one["score"] for one in tried]
    best = tried[int(np.argmax(scores))]
    logger.info("features of items have the weight %g in training", best[WEIGHT])
    return float(best[WEIGHT]), tried
