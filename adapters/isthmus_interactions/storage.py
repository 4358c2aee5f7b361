"""A recommender as a bundle, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from isthmus_interactions.recommender import Recommender

PLUGIN = "interactions"
TITLES = "titles.json"
TOLD = {"told.offsets": torch.int64, "told.items": torch.int32, "told.values": torch.float32}


def write(path: str | Path, recommender: Recommender) -> None:
    """Save the model, the vocabularies, the titles, and what the people of the training data touched."""
    tensors = {f"model.{name}": tensor for name, tensor in state_of(recommender.model).items()}
    documents = dict(recommender.adapter.state()) | extend.documents(recommender.model)
    if recommender.titles:
        documents[TITLES] = json.dumps(list(recommender.titles.items()), ensure_ascii=False)
    bundle.write(
        path,
        plugin=PLUGIN,
        builder=recommender.builder,
        settings=recommender.settings,
        tensors=tensors | _told_tensors(recommender.told),
        documents=documents,
        facts=recommender.facts,
    )


def read(path: str | Path) -> dict[str, Any]:
    """The fields of a ``Recommender``.

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
        told = _told(saved.tensors, (len(adapter.users), len(adapter.items)))
        weights = {
            name.removeprefix("model."): tensor for name, tensor in saved.tensors.items() if name not in TOLD
        }  # fmt: skip
        return {
            "adapter": adapter,
            "model": extend.rebuilt(builder, adapter.signal.width, manifest.settings, weights, saved.documents),
            "builder": manifest.builder,
            "settings": manifest.settings,
            "told": told,
            "titles": _titles(saved.documents),
            "facts": manifest.facts,
        }


def _told_tensors(told: Csr) -> dict[str, Tensor]:
    return {
        "told.offsets": torch.from_numpy(told.indptr.astype(np.int64)),
        "told.items": torch.from_numpy(told.indices.astype(np.int32)),
        "told.values": torch.from_numpy(told.data.astype(np.float32)),
    }


def _told(tensors: Mapping[str, Tensor], shape: tuple[int, int]) -> Csr:
    for name, dtype in TOLD.items():
        if name not in tensors or tensors[name].dtype != dtype or tensors[name].ndim != 1:
            raise BundleError(f"{name} is missing or of another type", expected=f"a vector of {dtype}")
    offsets, items, values = (tensors[name].numpy() for name in TOLD)
    told: Csr = csr_array((values, items, offsets), shape=shape)
    told.check_format(full_check=True)
    if not told.has_canonical_format or not (values > 0).all():
        raise BundleError("the interactions are not in order", expected="distinct sorted items with positive values")
    return told


def _titles(documents: Mapping[str, str]) -> dict[Id, str]:
    titles = dict(json.loads(documents.get(TITLES, "[]")))
    if not all(isinstance(id_, int | str) and isinstance(text, str) for id_, text in titles.items()):
        raise BundleError(f"{TITLES} holds something else than ids and texts")
    return titles
