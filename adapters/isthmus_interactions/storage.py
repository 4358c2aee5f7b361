"""Saving a recommender as a bundle and loading it.

A bundle contains ordered histories if the training data had them, that is, if they had a column of times or the caller
stated that the rows are in order. They take 4 bytes per event, 8 more for its time, and 8 per user; the matrix takes 8
bytes per cell. Sequence models need them for updates and for recommendations to known users. ``time=""`` (``--time
""``) leaves them out. Bundles of earlier versions do not have them.

After ``learn`` or ``forget`` a bundle of a closed form also contains its inverse in double precision, unless it is
saved with ``inverse=False``: as many bytes as the weights again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from isthmus import bundle, plugins
from isthmus.bundle.in_memory import Content
from isthmus.bundle.tensors import state_of
from isthmus.cards import card_maker
from isthmus.errors import BundleError
from isthmus.ids import Id
from isthmus.training.history import History
from isthmus_interactions.adapter import InteractionsAdapter
from isthmus_interactions.calibration.chances import Calibration
from isthmus_interactions.cold_start import extend
from isthmus_interactions.csr import Csr
from isthmus_interactions.exact import state
from isthmus_interactions.fitted import FittedRecommender
from isthmus_interactions.ordered_histories import OrderedHistories
from isthmus_interactions.overview.card import CALIBRATION, WORDS

PLUGIN = "interactions"
TITLES = "titles.json"
HISTORIES = "histories.json"
INTERACTIONS = {"told.offsets": torch.int64, "told.items": torch.int32, "told.values": torch.float32}
FORMER_FACTS = {"people": "users", "validation_people": "validation_users"}
"""Names of facts in bundles of version 0.1."""

ORDERED = ("histories.offsets", "histories.items", "histories.times")


def write(path: str | Path, fitted: FittedRecommender, card: bool = True) -> None:
    """Save the model, the vocabularies, the titles, and the training interactions.

    Args:
        path: path of the bundle.
        fitted: the state.
        card: whether to write a model card.
    """
    kept = content(fitted)
    bundle.write(path, **kept, card=card_maker(WORDS, kept["documents"], card))


def content(fitted: FittedRecommender) -> Content:
    """The content of a bundle."""
    fitted = state.settled(fitted)
    tensors = {f"model.{name}": tensor for name, tensor in state_of(fitted.model).items()}
    documents = dict(fitted.adapter.state()) | extend.documents(fitted.model)
    documents |= state.documents(fitted.inverse)
    if fitted.histories is not None:
        documents[HISTORIES] = json.dumps({"unit": fitted.histories.unit})
    if fitted.titles:
        documents[TITLES] = json.dumps(list(fitted.titles.items()), ensure_ascii=False)
    if fitted.calibration is not None:
        documents[CALIBRATION] = json.dumps(fitted.calibration.to_json())
    return Content(
        plugin=PLUGIN,
        builder=fitted.builder,
        settings=fitted.settings,
        tensors=tensors
        | _interaction_tensors(fitted.interactions)
        | _history_tensors(fitted.histories)
        | state.tensors(fitted.inverse),
        documents=documents,
        facts=fitted.facts,
    )


def read(path: str | Path) -> FittedRecommender:
    """Load the state of a saved recommender; its model is on the CPU.

    Raises:
        BundleError: the directory is truncated, altered, from another plugin, or from a newer version.
    """
    saved = bundle.read(path)
    manifest = saved.manifest
    if manifest.plugin != PLUGIN:
        raise BundleError(f"{str(path)!r} is a bundle of {manifest.plugin}", expected=f"one of {PLUGIN}")
    plugins.saved_builder(manifest.builder, PLUGIN, path)
    with bundle.as_damage(path):
        return restored(saved)


def restored(saved: bundle.Bundle) -> FittedRecommender:
    """The inverse of ``content``. If the parts do not match, any exception may be raised."""
    manifest = saved.manifest
    _, builder = plugins.find_builder(manifest.builder, PLUGIN)
    History.from_json(dict(manifest.facts["training"]))
    adapter = InteractionsAdapter.restore(saved.documents)
    interactions = _interactions(saved.tensors, (len(adapter.users), len(adapter.items)))
    weights = {
        name.removeprefix("model."): tensor
        for name, tensor in saved.tensors.items()
        if name not in INTERACTIONS and name not in ORDERED and name not in state.TENSORS
    }
    model = extend.rebuilt(builder, adapter.signal.width, manifest.settings, weights, saved.documents)
    return FittedRecommender(
        adapter=adapter,
        model=model,
        builder=manifest.builder,
        settings=manifest.settings,
        interactions=interactions,
        histories=_histories(saved, interactions),
        titles=_titles(saved.documents),
        facts=_facts(manifest.facts),
        calibration=_calibration(saved.documents),
        inverse=state.restored(saved.tensors, saved.documents, extend.inner(model)),
    )


def _facts(saved: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of a bundle under their current names."""
    facts = _renamed(saved)
    if "updates" in facts:
        facts["updates"] = [_renamed(update) for update in facts["updates"]]
    return facts


def _renamed(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {FORMER_FACTS.get(name, name): fact for name, fact in facts.items()}


def _interaction_tensors(matrix: Csr) -> dict[str, Tensor]:
    return {
        "told.offsets": torch.from_numpy(matrix.indptr.astype(np.int64)),
        "told.items": torch.from_numpy(matrix.indices.astype(np.int32)),
        "told.values": torch.from_numpy(matrix.data.astype(np.float32)),
    }


def _interactions(tensors: Mapping[str, Tensor], shape: tuple[int, int]) -> Csr:
    for name, dtype in INTERACTIONS.items():
        if name not in tensors or tensors[name].dtype != dtype or tensors[name].ndim != 1:
            raise BundleError(f"{name} is missing or of another type", expected=f"a vector of {dtype}")
    offsets, items, values = (tensors[name].numpy() for name in INTERACTIONS)
    matrix: Csr = csr_array((values, items, offsets), shape=shape)
    matrix.check_format(full_check=True)
    if not matrix.has_canonical_format or not (values > 0).all():
        raise BundleError("the interactions are not in order", expected="distinct sorted items with positive values")
    return matrix


def _history_tensors(histories: OrderedHistories | None) -> dict[str, Tensor]:
    if histories is None:
        return {}
    offsets, items, times = histories.offsets, histories.items, histories.times
    found = {"histories.offsets": torch.from_numpy(offsets), "histories.items": torch.from_numpy(items)}
    return found if times is None else {**found, "histories.times": torch.from_numpy(times)}


def _histories(saved: bundle.Bundle, interactions: Csr) -> OrderedHistories | None:
    """Load ordered histories that match the matrix; None if none were saved.

    Raises:
        BundleError: a part is missing or does not match the others.
    """
    if HISTORIES not in saved.documents:
        return None
    unit = json.loads(saved.documents[HISTORIES])["unit"]
    tensors = [saved.tensors.get(name) for name in ORDERED]
    offsets, items, times = (None if tensor is None else tensor.numpy() for tensor in tensors)
    users, width = interactions.shape
    if offsets is None or items is None or (times is None) != (unit is None) or unit not in (None, "us", "as given"):
        raise BundleError("incomplete ordered histories", expected="offsets and items, and times with their unit")
    if offsets.dtype != np.int64 or items.dtype != np.int32 or offsets.shape != (users + 1,) or items.ndim != 1:
        raise BundleError("ordered histories of the wrong type or size", expected=f"int64 offsets of {users:,} users")
    if offsets[0] != 0 or offsets[-1] != len(items) or (np.diff(offsets) < 0).any():
        raise BundleError("the offsets of ordered histories are not ascending up to the number of events")
    if len(items) and not 0 <= items.min() <= items.max() < width:
        raise BundleError("ordered histories contain items that do not exist", expected=f"items below {width:,}")
    histories = OrderedHistories(offsets, items, times, unit)
    _check_times(histories)
    return histories


def _check_times(histories: OrderedHistories) -> None:
    times = histories.times
    if times is None:
        return
    if times.dtype not in (np.int64, np.float64) or times.shape != histories.items.shape:
        raise BundleError(f"times of {times.dtype} and shape {times.shape}", expected="int64 or float64, one per event")
    same_user = np.diff(histories.owners()) == 0
    if not (times[1:] >= times[:-1])[same_user].all():
        raise BundleError("the times of ordered histories are not ascending", expected="the events of a user in order")


def _calibration(documents: Mapping[str, str]) -> Calibration | None:
    return Calibration.from_json(json.loads(documents[CALIBRATION])) if CALIBRATION in documents else None


def _titles(documents: Mapping[str, str]) -> dict[Id, str]:
    titles = dict(json.loads(documents.get(TITLES, "[]")))
    if not all(isinstance(id_, int | str) and isinstance(text, str) for id_, text in titles.items()):
        raise BundleError(f"{TITLES} does not contain ids with texts")
    return titles
