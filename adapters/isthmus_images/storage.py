"""An image autoencoder as a bundle, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus import bundle, plugins
from isthmus.bundle.tensors import named, part_of, state_of
from isthmus.core.priors.fitted_mixture import FittedMixture
from isthmus.errors import BundleError
from isthmus.models.recipes.rebuild import rebuild
from isthmus.training.history import History
from isthmus_images.adapter import ImageAdapter
from isthmus_images.fit import PLUGIN
from isthmus_images.gallery import Gallery
from isthmus_images.strangeness import Strangeness

if TYPE_CHECKING:
    from isthmus_images.autoencoder import ImageAutoencoder

MODEL, MIXTURE = "model.", "mixture."


def write(path: str | Path, model: ImageAutoencoder) -> None:
    """Save the model, the sizes, the fitted prior, the names with their codes, and what is usual."""
    tensors = named(MODEL, state_of(model.model))
    documents = model.adapter.state()
    if model.mixture is not None:
        tensors |= named(MIXTURE, model.mixture.tensors())
    for part in (model.gallery, model.strangeness):
        if part is not None:
            tensors |= part.tensors()
            documents |= part.documents()
    bundle.write(
        path,
        plugin=PLUGIN,
        builder=model.builder,
        settings=model.settings,
        tensors=tensors,
        documents=documents,
        facts=model.facts,
    )


def read(path: str | Path) -> dict[str, Any]:
    """The fields of an ``ImageAutoencoder``.

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
        adapter = ImageAdapter.restore(saved.documents)
        mixture = part_of(saved.tensors, MIXTURE)
        return {
            "adapter": adapter,
            "model": rebuild(builder, adapter.signal, manifest.settings, part_of(saved.tensors, MODEL)),
            "builder": manifest.builder,
            "settings": manifest.settings,
            "facts": manifest.facts,
            "mixture": FittedMixture.from_tensors(mixture) if mixture else None,
            "gallery": Gallery.restored(saved.documents, saved.tensors),
            "strangeness": Strangeness.restored(saved.documents, saved.tensors),
        }
