"""Extends a recommender by items that are known only by their features; also saves, restores and removes them."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_array
from torch import Generator, Tensor, nn

from isthmus import plugins
from isthmus.batch import Bag, Bags
from isthmus.checked.arguments import ABOVE_ZERO, checked_seed, real
from isthmus.core.rankers import ranker_of
from isthmus.errors import BundleError, SettingError
from isthmus.machine.devices import device_of, has_room, moved
from isthmus.models.blend import BlendRecipe
from isthmus.models.recipes.rebuild import rebuild
from isthmus.protocols import Builder
from isthmus.training.progress import NoProgress
from isthmus.training.run import Run
from isthmus.vocabulary import Vocabulary
from isthmus_interactions.adapter import InteractionsAdapter
from isthmus_interactions.cold_start.choose_weights import FeatureWeights, choose
from isthmus_interactions.cold_start.features import ItemFeatures
from isthmus_interactions.cold_start.holdout import FEWEST_USERS, ItemHoldout, Rows, sample_users
from isthmus_interactions.cold_start.in_training import counts, feature_rows, given
from isthmus_interactions.cold_start.match_items import match_items_to_features
from isthmus_interactions.cold_start.ranker import NAMES, NEAR, ColdStartRanker
from isthmus_interactions.cold_start.ridge import Mixing, mixing
from isthmus_interactions.csr import Csr, select_rows
from isthmus_interactions.exact.state import settled
from isthmus_interactions.fitted import FittedRecommender
from isthmus_interactions.order.inputs import reads_of, source_of

FACTS = "features"
TRIALS = 2
BLOCK = 1024

logger = logging.getLogger(__name__)


def with_features(old: FittedRecommender, features: ItemFeatures, boost: float, seed: int) -> FittedRecommender:
    """The state of the extended recommender. Raises the errors of ``Recommender.with_features``.

    Args:
        old: the state, with or without earlier features, which are replaced.
        features: features of known and of new items.
        boost: a factor on the scores of new items.
        seed: seed for the users and items on which the weights are chosen.

    Returns:
        The state over the larger catalogue; ``old`` itself if there are no new items.
    """
    boost = real("boost", boost, "a number above 0, 1e30 at most; 1 is neutral", least=ABOVE_ZERO, most=1e30)
    seed = checked_seed(seed)
    if reads_of(old.model).length is not None:
        raise SettingError(f"features for {old.builder}, which reads items in order", expected="a model of bags")
    old = settled(without_features(old))
    items = old.adapter.items
    found = match_items_to_features(items, old.interactions, features)
    whole, place, known, new = found.items, found.place, found.known, found.new
    if not len(new):
        if not counts(old.builder, old.settings):
            logger.warning("all items with features have interactions; no item is added")
        return old
    about, unknown = features.rows(place[known]), features.rows(place[new])
    choice = choose(_trials(old, known, seed, features), about)
    choice = replace(choice, model=choice.model * boost, history=choice.history * boost)
    mixed = mixing(about, unknown, choice.regularisation, choice.power)
    tensors = _tensors(mixed, choice, known, new, (len(items), len(whole)))
    quality = "" if choice.score is None else f"; left-out items were found with an nDCG@20 of {choice.score:.4f}"
    logger.info("%d items without interactions are added to %d with interactions%s", len(new), len(known), quality)
    model = _placed(old, tensors)
    described = {"items_with_both": len(known), "new_items": len(new), "boost": boost, "seed": seed, **asdict(choice)}
    return replace(
        old,
        adapter=InteractionsAdapter(whole, old.adapter.users),
        model=model.eval(),
        interactions=_wide(old.interactions, len(whole)),
        titles=_titles(old.titles, features, whole),
        facts={**old.facts, "items": len(whole), FACTS: described},
    )


def _placed(old: FittedRecommender, tensors: dict[str, Tensor]) -> ColdStartRanker:
    """The old model with the weights of new items, on its device, or on the CPU if they do not fit there."""
    inner, device = old.model, old.device
    model = ColdStartRanker(inner, tensors)
    if not has_room(model, device):
        # The recommender without the new items stays where it is.
        model = ColdStartRanker(copy.deepcopy(inner), tensors)
    moved(model, device)
    return model


def without_features(old: FittedRecommender) -> FittedRecommender:
    """The recommender without items that are known only by their features."""
    if not isinstance(old.model, ColdStartRanker):
        return old
    items = Vocabulary(old.adapter.items.ids[: old.model.known])
    facts = {name: value for name, value in old.facts.items() if name != FACTS}
    return replace(
        old,
        adapter=InteractionsAdapter(items, old.adapter.users),
        model=old.model.model,
        interactions=_wide(old.interactions, len(items)),
        titles={id_: title for id_, title in old.titles.items() if id_ in items},
        facts={**facts, "items": len(items)},
    )


def inner(model: nn.Module) -> nn.Module:
    """The model itself, without items that are known only by their features."""
    return model.model if isinstance(model, ColdStartRanker) else model


def check_without_features(model: nn.Module) -> None:
    """Raise SettingError if some items are known only by their features."""
    if isinstance(model, ColdStartRanker):
        raise SettingError(
            "an update of a recommender with items that are known only by their features",
            remedy="fit on all data with --features; or, in Python, update what without_features() returns, and "
            "give the features again",
        )


def readable(model: nn.Module, bags: Bags) -> Bags:
    """Bags on the CPU in which known items replace those that are known only by their features."""
    if not isinstance(model, ColdStartRanker):
        return bags
    return model.with_known_items(bags.to(model.place.device)).to(torch.device("cpu"))


def documents(model: nn.Module) -> dict[str, str]:
    """Documents that a bundle must contain in addition to the tensors of a model."""
    return {"features.json": json.dumps({"known": model.known})} if isinstance(model, ColdStartRanker) else {}


def rebuilt(
    builder: Builder, items: int, settings: Mapping[str, Any], tensors: Mapping[str, Tensor], saved: Mapping[str, str]
) -> nn.Module:
    """Rebuild a saved model, with or without new items.

    Args:
        builder: builder of the underlying model.
        items: number of items in the catalogue, including new ones.
        settings: all keywords of the builder.
        tensors: tensors of the model, by name.
        saved: documents of the bundle.

    Returns:
        The model on the CPU, in evaluation mode.

    Raises:
        BundleError: tensors that do not fit the settings or each other.
    """
    if "features.json" not in saved:
        return rebuild(builder, Bag(items), settings, tensors)
    known = int(json.loads(saved["features.json"])["known"])
    own = {name: tensor for name, tensor in tensors.items() if name in NAMES}
    inner = {name.removeprefix("model."): tensor for name, tensor in tensors.items() if name not in NAMES}
    _check(own, known, items)
    return ColdStartRanker(rebuild(builder, Bag(known), settings, inner), own).eval()


def _trials(old: FittedRecommender, known: Rows, seed: int, features: ItemFeatures) -> list[ItemHoldout]:
    """Several draws of left-out items for the same users.

    A model fits its training users better than others, so it would be trusted too much on them. A closed-form model is
    therefore solved again without these users, as are such parts of a blend; trained models are not, because that would
    take too long.
    """
    interactions, device, generator = old.interactions, old.device, np.random.default_rng(seed)
    users = sample_users(interactions, generator)
    if len(users) < FEWEST_USERS:
        return []
    make = plugins.find_builder(old.builder, "interactions")[1]
    with torch.device("meta"):
        sketch = make(Bag(interactions.shape[1]), generator=Generator(), **old.settings)
    model = old.model
    if not sketch.chooses_epoch:
        recipe = make(Bag(interactions.shape[1]), generator=Generator().manual_seed(seed), **old.settings)
        recipe = given(recipe, feature_rows(features, old.adapter.items, interactions))
        if isinstance(recipe, BlendRecipe):
            recipe.model.load_state_dict(model.state_dict())
        others = np.setdiff1d(np.arange(interactions.shape[0]), users)
        told = None if old.histories is None else old.histories.take(others)
        source = source_of(select_rows(interactions, others), told, reads_of(model))
        recipe.fit(source, Run(device=str(device), seed=seed, progress=NoProgress()))
        model = recipe.model.eval()
    asked, ranker = select_rows(interactions, users), ranker_of(model)
    drawn = [ItemHoldout.drawn(ranker, asked, known, generator, device_of(model)) for _ in range(TRIALS)]
    return [trial for trial in drawn if trial is not None]


def _check(own: Mapping[str, Tensor], known: int, items: int) -> None:
    missing = [name for name in NAMES if name not in own]
    if missing:
        raise BundleError(f"{missing[0]} is missing", expected="the tensors of new items")
    inner, new = own["left"].shape[-1] - 1, len(own["near"])
    factored = own["right"].numel() > 0
    shapes = {
        "left": [known, inner + 1],
        "right": [inner, new] if factored else [0, 0],
        "place": [items],
        "near": [new, NEAR],
        "near_weights": [new, NEAR],
        "sizes": [2],
    }
    whole = {"place": torch.int64, "near": torch.int64}
    for name, shape in shapes.items():
        if list(own[name].shape) != shape or own[name].dtype != whole.get(name, torch.float32):
            raise BundleError(f"{name} is {own[name].dtype} {list(own[name].shape)}", expected=f"{shape}")
    places, near = own["place"], own["near"]
    if not torch.equal(places[places >= 0].sort().values, torch.arange(new)) or (not factored and inner != new):
        raise BundleError("the positions of new items are not distinct", expected=f"0 to {new - 1}")
    if bool((places[known:] < 0).any()) or bool((near < 0).any()) or bool((near >= known).any()):
        raise BundleError("new items refer to columns that do not exist", expected=f"columns below {known}")


def _tensors(
    mixed: Mixing, choice: FeatureWeights, known: Rows, new: Rows, widths: tuple[int, int]
) -> dict[str, Tensor]:
    left = np.zeros((widths[0], 1 + mixed.left.shape[1]), np.float32)
    left[known, 0] = 1 / len(known)
    left[known, 1:] = mixed.left
    place = np.full(widths[1], -1, dtype=np.int64)
    place[new] = np.arange(len(new))
    near, weights = _near(mixed, len(new))
    right = np.zeros((0, 0), np.float32) if mixed.right is None else np.ascontiguousarray(mixed.right)
    parts: dict[str, Any] = {
        "left": left,
        "right": right,
        "place": place,
        "near": known[near],
        "near_weights": weights,
        "sizes": np.array([choice.model, choice.history], np.float32),
    }
    return {name: torch.from_numpy(part) for name, part in parts.items()}


def _near(mixed: Mixing, new: int) -> tuple[Rows, Any]:
    """The known items with the largest weights for each new one, and those weights, which sum to 1."""
    rows, parts = [], []
    for start in range(0, new, BLOCK):
        block = torch.from_numpy(mixed.columns(start, min(new, start + BLOCK)))
        weights, places = block.T.topk(min(NEAR, len(block)))
        weights = weights.clamp(min=1e-6)
        missing = (0, NEAR - weights.shape[1])
        rows.append(F.pad(places, missing))
        parts.append(F.pad(weights / weights.sum(1, keepdim=True), missing))
    return torch.cat(rows).numpy(), torch.cat(parts).numpy()


def _wide(interactions: Csr, width: int) -> Csr:
    matrix: Csr = csr_array(
        (interactions.data, interactions.indices, interactions.indptr), shape=(interactions.shape[0], width)
    )
    matrix.has_sorted_indices = matrix.has_canonical_format = True
    return matrix


def _titles(old: Mapping[Any, str], features: ItemFeatures, whole: Vocabulary) -> dict[Any, str]:
    return {whole.held(id_): title for id_, title in features.titles.items()} | dict(old)
