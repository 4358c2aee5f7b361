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
from isthmus.errors import BundleError
from isthmus.models.rebuild import rebuild
from isthmus.state import state_of
from isthmus.vocabulary import Id
from isthmus_interactions.adapter import InteractionsAdapter
from isthmus_interactions.matrices import Csr

if TYPE_CHECKING:
    from isthmus_interactions.recommender import Recommender

PLUGIN = "interactions"
TITLES = "titles.json"


def write(path: str | Path, recommender: Recommender) -> None:
    """Save the model, the vocabularies, the titles, and what the people of the training data touched."""
    tensors = {f"model.{name}": tensor for name, tensor in state_of(recommender.model).items()}
    documents = dict(recommender.adapter.state())
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
        raise BundleError(f"{str(path)!r} is a bundle of {manifest.plugin}", expected="one of interactions")
    _, builder = plugins.find_builder(manifest.builder, PLUGIN)
    with bundle.as_damage(path):
        adapter = InteractionsAdapter.restore(saved.documents)
        weights = {name.removeprefix("model."): t for name, t in saved.tensors.items() if name.startswith("model.")}
        return {
            "adapter": adapter,
            "model": rebuild(builder, adapter.signal, manifest.settings, weights),
            "builder": manifest.builder,
            "settings": manifest.settings,
            "told": _told(saved.tensors, (len(adapter.users), len(adapter.items))),
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
    offsets, items, values = (tensors[f"told.{part}"].numpy() for part in ("offsets", "items", "values"))
    told: Csr = csr_array((values, items, offsets), shape=shape)
    told.check_format(full_check=True)
    if not told.has_canonical_format or not (values > 0).all():
        raise BundleError("the interactions are not in order", expected="distinct sorted items with positive values")
    return told


def _titles(documents: Mapping[str, str]) -> dict[Id, str]:
    pairs = json.loads(documents.get(TITLES, "[]"))
    titles = dict(pairs)
    if not all(isinstance(id_, int | str) and isinstance(text, str) for id_, text in titles.items()):
        raise BundleError(f"{TITLES} holds something else than ids and texts")
    return titles
