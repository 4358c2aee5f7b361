"""Saves detectors as bundles and loads them."""

from __future__ import annotations

import copy
import json
from pathlib import Path

from isthmus import bundle
from isthmus.batch import Vector
from isthmus.bundle.in_memory import Content
from isthmus.bundle.tensors import named, part_of, state_of
from isthmus.cards import CardWords, card_maker
from isthmus.core.autoencoder import Autoencoder
from isthmus.errors import BundleError
from isthmus.models.recipes.rebuild import rebuild
from isthmus.tasks.anomaly import Ranks
from isthmus.tasks.threshold import Threshold
from isthmus.training.history import History
from isthmus_vectors.adapter import VectorAdapter
from isthmus_vectors.detection.ensemble import masked_ensemble
from isthmus_vectors.detection.fit import FittedDetector
from isthmus_vectors.detection.scoring import Scorers
from isthmus_vectors.fit import PLUGIN

BUILDER = "masked_ensemble"
MODEL, RANKS, THRESHOLD = "model.", "ranks.", "threshold.json"


def write(path: str | Path, detector: FittedDetector, words: CardWords, card: bool = True) -> None:
    """Save the ensemble, the known rows, their ranks, the scales and the threshold.

    Args:
        path: path of the bundle.
        detector: the state.
        words: text of the model card.
        card: whether to write the card.
    """
    kept = content(detector)
    bundle.write(path, **kept, card=card_maker(words, kept["documents"], card))


def content(detector: FittedDetector) -> Content:
    """The content of a bundle."""
    scorers = detector.scorers
    # Weights were learned in fp32; scores are only computed in fp64.
    model = copy.deepcopy(scorers.model).float()
    tensors = named(MODEL, state_of(model)) | named(RANKS, detector.ranks.tensors())
    tensors |= {"centre": detector.centre, "spread": detector.spread}
    tensors |= {"known": scorers.inputs.vectors, "masks": scorers.masks}
    return Content(
        plugin=PLUGIN,
        builder=BUILDER,
        settings=detector.settings,
        tensors={name: tensor.contiguous() for name, tensor in tensors.items()},
        documents={**detector.adapter.state(), THRESHOLD: json.dumps(detector.threshold.to_json())},
        facts={**detector.facts, "neighbours": scorers.inputs.k},
    )


def read(path: str | Path) -> FittedDetector:
    """Load what was saved.

    Raises:
        BundleError: the directory is truncated, altered, foreign or too new.
    """
    saved = bundle.read(path)
    manifest = saved.manifest
    if (manifest.plugin, manifest.builder) != (PLUGIN, BUILDER):
        raise BundleError(f"{str(path)!r} holds {manifest.builder} of {manifest.plugin}", expected="a detector")
    with bundle.as_damage(path):
        return restored(saved)


def restored(saved: bundle.Bundle) -> FittedDetector:
    """The inverse of ``content``. If the parts do not match, any exception may be raised."""
    manifest, tensors = saved.manifest, saved.tensors
    History.from_json(dict(manifest.facts["training"]))
    adapter = VectorAdapter.restore(saved.documents)
    model = rebuild(masked_ensemble, Vector(adapter.scaling.width), manifest.settings, part_of(tensors, MODEL)).double()
    assert isinstance(model, Autoencoder)
    return FittedDetector(
        adapter=adapter,
        centre=tensors["centre"],
        spread=tensors["spread"],
        scorers=Scorers.of(model, tensors["masks"], tensors["known"], int(manifest.facts["neighbours"])),
        ranks=Ranks.from_tensors(part_of(tensors, RANKS)),
        threshold=Threshold.from_json(json.loads(saved.documents[THRESHOLD])),
        settings=manifest.settings,
        facts={name: fact for name, fact in manifest.facts.items() if name != "neighbours"},
    )
