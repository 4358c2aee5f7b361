"""A text autoencoder as a bundle, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus import bundle, plugins
from isthmus.bundle.tensors import named, part_of, state_of
from isthmus.core.priors.fitted_mixture import FittedMixture
from isthmus.errors import BundleError
from isthmus.models.recipes.rebuild import rebuild
from isthmus.training.history import History
from isthmus_text.corpus import Corpus
from isthmus_text.fit import PLUGIN
from isthmus_text.input_output import Tokens

if TYPE_CHECKING:
    from isthmus_text.autoencoder import TextAutoencoder

MODEL, MIXTURE = "model.", "mixture."


def write(path: str | Path, model: TextAutoencoder) -> None:
    """Save the model, the tokenizer, the fitted prior, and the corpus with its codes."""
    tensors = named(MODEL, state_of(model.model))
    documents = model.tokens.documents()
    if model.mixture is not None:
        tensors |= named(MIXTURE, model.mixture.tensors())
    if model.corpus is not None:
        tensors |= model.corpus.tensors()
        documents |= model.corpus.documents()
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
    """The fields of a ``TextAutoencoder``.

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
        tokens = Tokens.restored(saved.documents)
        mixture = part_of(saved.tensors, MIXTURE)
        return {
            "tokens": tokens,
            "model": rebuild(builder, tokens.writes.signal, manifest.settings, part_of(saved.tensors, MODEL)),
            "builder": manifest.builder,
            "settings": manifest.settings,
            "facts": manifest.facts,
            "mixture": FittedMixture.from_tensors(mixture) if mixture else None,
            "corpus": Corpus.restored(saved.documents, saved.tensors),
        }
