"""A vector autoencoder as a bundle, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from isthmus import bundle, plugins
from isthmus.bundle.tensors import named, part_of, state_of
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.priors.fitted_mixture import FittedMixture
from isthmus.errors import BundleError
from isthmus.models.recipes.rebuild import rebuild
from isthmus.tasks.threshold import Threshold
from isthmus.training.history import History
from isthmus_vectors.adapter import VectorAdapter
from isthmus_vectors.fit import PLUGIN, asked

if TYPE_CHECKING:
    from isthmus_vectors.autoencoder import VectorAutoencoder

MODEL, MIXTURE, KNOWN = "model.", "mixture.", "known.codes"
THRESHOLD = "threshold.json"
MARK = "validation_rows"
"""A fact that other bundles of this plugin, compressors and detectors, lack."""


def write(path: str | Path, model: VectorAutoencoder) -> None:
    """Save the model, the scales, the threshold, the fitted prior, and the codes that can be searched."""
    bundle.write(
        path,
        plugin=PLUGIN,
        builder=model.builder,
        settings=model.settings,
        tensors=tensors_of(model),
        documents=documents_of(model),
        facts=model.facts,
    )


def read(path: str | Path) -> dict[str, Any]:
    """The fields of a ``VectorAutoencoder``.

    Raises:
        BundleError: a directory that is truncated, altered, foreign or too new.
    """
    saved = bundle.read(path)
    manifest = saved.manifest
    if manifest.plugin != PLUGIN or MARK not in manifest.facts:
        what = f"{manifest.builder} of {manifest.plugin}"
        raise BundleError(f"{str(path)!r} is a bundle of {what}", expected=f"an autoencoder of {PLUGIN}")
    plugins.saved_builder(manifest.builder, PLUGIN, path)
    with bundle.as_damage(path):
        return fields_of(manifest.builder, manifest.settings, manifest.facts, saved.tensors, saved.documents)


def tensors_of(model: VectorAutoencoder) -> dict[str, Tensor]:
    """All tensors by name."""
    tensors = named(MODEL, state_of(model.model))
    if model.mixture is not None:
        tensors |= named(MIXTURE, model.mixture.tensors())
    return tensors if model.known is None else tensors | {KNOWN: model.known.contiguous()}


def documents_of(model: VectorAutoencoder) -> dict[str, str]:
    """All texts by name."""
    return {**model.adapter.state(), THRESHOLD: json.dumps(model.threshold.to_json())}


def fields_of(
    builder: str,
    settings: Mapping[str, Any],
    facts: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    documents: Mapping[str, str],
) -> dict[str, Any]:
    """The inverse of ``tensors_of`` and ``documents_of``; anything may be raised where they do not fit each other."""
    History.from_json(dict(facts["training"]))
    adapter = VectorAdapter.restore(documents)
    found = plugins.find_builder(builder, PLUGIN)[1]
    made = rebuild(found, adapter.signal, settings, part_of(tensors, MODEL))
    assert isinstance(made, Autoencoder)
    mixture, known = part_of(tensors, MIXTURE), tensors.get(KNOWN)
    if known is not None and (known.ndim != 2 or known.dtype != torch.float32):
        raise BundleError(f"codes of shape {tuple(known.shape)}", expected="fp32, one row each")
    return {
        "adapter": adapter,
        "model": made,
        "asked": asked(found, adapter, made, settings),
        "builder": builder,
        "settings": settings,
        "facts": facts,
        "threshold": Threshold.from_json(json.loads(documents[THRESHOLD])),
        "mixture": FittedMixture.from_tensors(mixture) if mixture else None,
        "known": known,
    }
