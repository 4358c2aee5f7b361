"""Converts a model that ``implicit`` has trained."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from torch import Generator

from isthmus.batch import Bag
from isthmus.errors import InputError, SettingError
from isthmus.models.recipes.settings import checked
from isthmus.training.history import History
from isthmus.training.run import Run
from isthmus_interactions import fit
from isthmus_interactions.factorisation.implicit_models import als, bpr
from isthmus_interactions.factorisation.implicit_training import ImplicitRecipe, library
from isthmus_interactions.fitted import FittedRecommender
from isthmus_interactions.interactions import Interactions


def from_implicit(model: Any, data: Interactions) -> FittedRecommender:
    """Build an autoencoder with the factors of a trained model. Raises the errors of ``Recommender.from_implicit``."""
    name, builder, settings, code = _read(model)
    if model.item_factors is None or model.user_factors is None:
        raise SettingError(f"a {type(model).__name__} that is not trained", remedy="call its fit first")
    shape = (len(model.user_factors), len(model.item_factors))
    if shape != data.matrix.shape:
        raise InputError(
            f"a model of {shape[0]:,} users and {shape[1]:,} items",
            expected=f"{data.matrix.shape[0]:,} users and {data.matrix.shape[1]:,} items, as in the interactions",
            remedy="pass the interactions whose matrix it was trained on",
        )
    whole = checked(name, builder, {**settings, "factors": model.item_factors.shape[1] - code})
    recipe = builder(Bag(shape[1]), generator=Generator().manual_seed(0), **whole)
    recipe.load_factors(model.item_factors, data.matrix)
    recipe.model.eval()
    facts = fit.facts_of(data, None, Run(), History()) | {"trained_by": f"implicit {version('implicit')}"}
    return FittedRecommender.of(data, recipe.model, name, whole, facts)


def _read(model: Any) -> tuple[str, Callable[..., ImplicitRecipe], dict[str, Any], int]:
    """The builder, its keywords, and the number of columns of the factors that are not factors."""
    known = library()
    if not isinstance(model, (known.als, known.bpr)):
        kind = type(model)
        raise SettingError(
            f"a {kind.__module__}.{kind.__qualname__}",
            expected="implicit's AlternatingLeastSquares or BayesianPersonalizedRanking on the CPU",
            remedy="call its to_cpu first" if ".gpu." in kind.__module__ else "",
        )
    settings = {"regularisation": model.regularization, "iterations": model.iterations}
    if isinstance(model, known.als):
        return "als", als, settings | {"alpha": model.alpha}, 0
    return "bpr", bpr, settings | {"learning_rate": model.learning_rate, "verify": model.verify_negative_samples}, 1
