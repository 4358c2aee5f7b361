"""Creates, saves and restores the inverse of a closed form that a recommender keeps for exact changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

from isthmus import plugins
from isthmus.batch import Bag
from isthmus.core.linear.changing import ChangingInverse
from isthmus.core.linear.corrected import CorrectedLinear
from isthmus.core.linear.dense import LinearAutoencoder
from isthmus.errors import BundleError
from isthmus.machine.devices import moved
from isthmus.models.recipes.settings import checked
from isthmus_interactions.csr import Csr
from isthmus_interactions.fitted import FittedRecommender

DOCUMENT = "inverse.json"
TENSORS = ("inverse.upper", "inverse.counts")


def solver_of(fitted: FittedRecommender, width: int) -> Callable[[Csr], ChangingInverse] | None:
    """A function that solves a model of this name and settings so that it can be changed afterwards.

    Args:
        fitted: the recommender.
        width: the number of items to solve for.

    Returns:
        The function from a matrix to its inverse; None if the model is not a dense closed form.
    """
    builder = plugins.find_builder(fitted.builder, "interactions")[1]
    settings = checked(fitted.builder, builder, fitted.settings)
    with torch.device("meta"):
        sketch = builder(Bag(width), generator=Generator(), **settings)
    solver: Callable[[Csr], ChangingInverse] | None = getattr(sketch, "changing", None)
    return solver


def with_inverse(made: FittedRecommender, inverse: ChangingInverse, old: FittedRecommender) -> FittedRecommender:
    """A recommender with the model of an inverse, on the device of the old one.

    Args:
        made: the recommender with all other fields.
        inverse: the inverse of its data.
        old: the recommender before the change; its weights are reused if they belong to the same ``base``, and changes
            are stored separately.
    """
    known = old.inverse is not None and old.inverse.base is inverse.base
    if known and inverse.rank:
        base = old.model.base if isinstance(old.model, CorrectedLinear) else old.model
        assert isinstance(base, LinearAutoencoder)
        return replace(made, model=CorrectedLinear(base, inverse).eval(), inverse=inverse)
    inverse = inverse.folded()
    return replace(made, model=old.model if known else _plain(inverse, old.device), inverse=inverse)


def _plain(inverse: ChangingInverse, device: torch.device) -> LinearAutoencoder:
    model = LinearAutoencoder(inverse.width)
    inverse.weights(out=model.weights.numpy())
    moved(model.eval(), device)
    return model


def settled(fitted: FittedRecommender) -> FittedRecommender:
    """The recommender with one plain matrix of weights, as ``fit`` creates it."""
    if not isinstance(fitted.model, CorrectedLinear) or fitted.inverse is None:
        return fitted
    inverse = fitted.inverse.folded()
    return replace(fitted, model=_plain(inverse, fitted.device), inverse=inverse)


def without_inverse(fitted: FittedRecommender) -> FittedRecommender:
    """The recommender without the inverse, from which the next change would start."""
    return replace(settled(fitted), inverse=None)


def tensors(inverse: ChangingInverse | None) -> dict[str, Tensor]:
    """The tensors of an inverse without separate changes: a triangle, 4 bytes for each pair of items."""
    if inverse is None:
        return {}
    parts = [row[place:] for place, row in enumerate(inverse.base)]
    packed = np.concatenate(parts) if parts else np.empty(0)
    return dict(zip(TENSORS, (torch.from_numpy(packed), torch.from_numpy(inverse.counts)), strict=True))


def documents(inverse: ChangingInverse | None) -> dict[str, str]:
    """The settings that the inverse was solved with."""
    if inverse is None:
        return {}
    names = ("regularisation", "dropout", "xi")
    return {DOCUMENT: json.dumps({name: float(getattr(inverse, name)) for name in names})}


def restored(saved: Mapping[str, Tensor], texts: Mapping[str, str], model: nn.Module) -> ChangingInverse | None:
    """The inverse of a bundle; None if it has none.

    Args:
        saved: tensors of the bundle.
        texts: documents of the bundle.
        model: its model.

    Raises:
        BundleError: a part is missing, or does not fit the model.
    """
    if DOCUMENT not in texts:
        return None
    width = getattr(model, "width", 0)
    shapes = dict(zip(TENSORS, ((width * (width + 1) // 2,), (width,)), strict=True))
    for name, shape in shapes.items():
        if name not in saved or saved[name].dtype != torch.float64 or tuple(saved[name].shape) != shape:
            raise BundleError(f"{name} is missing or of another type or size", expected=f"float64 of {shape}")
    upper, counts = (saved[name].numpy() for name in TENSORS)
    told = _settings(json.loads(texts[DOCUMENT]))
    if not np.isfinite(upper).all() or not (counts >= 0).all() or not (upper[_diagonal(width)] > 0).all():
        raise BundleError("the inverse cannot be one", expected="finite numbers, positive on the diagonal")
    return ChangingInverse.settled(_square(upper, width), counts, *told)


def _settings(document: Any) -> tuple[float, float, float]:
    regularisation, dropout, xi = (float(document[name]) for name in ("regularisation", "dropout", "xi"))
    if not (0 < regularisation < np.inf and 0 <= dropout < 1 and 0 <= xi <= 1):
        raise BundleError(f"{DOCUMENT} contains {document}", expected="the settings of a closed form")
    return regularisation, dropout, xi


def _diagonal(width: int) -> Any:
    """Positions of the diagonal in a triangle stored row by row."""
    rows = np.arange(width)
    return rows * width - rows * (rows - 1) // 2


def _square(upper: Any, width: int) -> Any:
    square, starts = np.empty((width, width)), _diagonal(width)
    for place, start in enumerate(starts):
        row = upper[start : start + width - place]
        square[place, place:] = row
        square[place:, place] = row
    return square
