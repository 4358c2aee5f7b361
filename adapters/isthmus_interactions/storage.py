"""A recommender as a bundle, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from isthmus import bundle, plugins
from isthmus.bundle.tensors import state_of
from isthmus.errors import BundleError
from isthmus.training.history import History
from isthmus.vocabulary import Id
from isthmus_interactions.adapter import InteractionsAdapter
from isthmus_interactions.cold_start import extend
from isthmus_interactions.csr import Csr
from isthmus_interactions.fitted import FittedRecommender

PLUGIN = "interactions"
TITLES = "titles.json"
INTERACTIONS = {"told.offsets": torch.int64, "told.items": torch.int32, "told.values": torch.float32}


def write(path: str | Path, fitted: FittedRecommender) -> None:
    """Save the model, the vocabularies, the titles, and the training interactions."""
    tensors = {f"model.{name}": tensor for name, tensor in state_of(fitted.model).items()}
    documents = dict(fitted.adapter.state()) | extend.documents(fitted.model)
    if fitted.titles:
        documents[TITLES] = json.dumps(list(fitted.titles.items()), ensure_ascii=False)
    bundle.write(
        path,
        plugin=PLUGIN,
        builder=fitted.builder,
        settings=fitted.settings,
        tensors=tensors | _interaction_tensors(fitted.interactions),
        documents=documents,
        facts=fitted.facts,
    )


def read(path: str | Path) -> FittedRecommender:
    """The state of a saved recommender; its model is on the CPU.

    Raises:
        BundleError: a directory that is truncated, altered, foreign or too new.
    """
    saved = bundle.read(path)
    manifest = saved.manifest
    if manifest.plugin != PLUGIN:
        raise BundleError(f"{str(path)!r} is a bundle of {manifest.plugin}", expected=f"one of {PLUGIN}")
    builder = plugins.saved_builder(manifest.builder, PLUGIN, path)
    with bundle.as_damage(path):
        History.from_json(dict(manifest.facts["training"]))
        adapter = InteractionsAdapter.restore(saved.documents)
        interactions = _interactions(saved.tensors, (len(adapter.users), len(adapter.items)))
        weights = {
            name.removeprefix("model."): tensor for name, tensor in saved.tensors.items() if name not in INTERACTIONS
        }  # fmt: skip
        return FittedRecommender(
            adapter=adapter,
            model=extend.rebuilt(builder, adapter.signal.width, manifest.settings, weights, saved.documents),
            builder=manifest.builder,
            settings=manifest.settings,
            interactions=interactions,
            titles=_titles(saved.documents),
            facts=manifest.facts,
        )


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


def _titles(documents: Mapping[str, str]) -> dict[Id, str]:
    titles = dict(json.loads(documents.get(TITLES, "[]")))
    if not all(isinstance(id_, int | str) and isinstance(text, str) for id_, text in titles.items()):
        raise BundleError(f"{TITLES} holds something else than ids and texts")
    return titles
