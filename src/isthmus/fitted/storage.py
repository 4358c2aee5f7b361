"""Saving a fitted autoencoder as a bundle and loading it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from torch import Tensor

from isthmus import bundle, plugins
from isthmus.bundle.in_memory import Content
from isthmus.bundle.tensors import named, part_of, state_of
from isthmus.cards import CardWords, card_maker
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.priors.fitted_mixture import FittedMixture
from isthmus.errors import BundleError
from isthmus.fitted.anomaly import AnomalyScorer, CalibratedScorer
from isthmus.fitted.gallery import GalleryFormat, Keys
from isthmus.fitted.model import AdapterState, FittedAutoencoder
from isthmus.fitted.whitening import Whitening
from isthmus.models.recipes.rebuild import rebuild
from isthmus.reprs import brief
from isthmus.training.history import History

MODEL, MIXTURE, WHITENING = "model.", "mixture.", "whitening."

A = TypeVar("A", bound=AdapterState)


def no_keys(fitted: FittedAutoencoder[Any]) -> None:
    """Records are compared by their codes."""


@brief
@dataclass(frozen=True)
class BundleLayout(Generic[A]):
    """The layout of the bundles of one domain.

    Attributes:
        plugin: name of the plugin.
        restore_adapter: creates the adapter from documents.
        gallery: format of the gallery.
        restore_scorer: creates the anomaly scorer from documents and tensors; None if a bundle has none.
        keys: creates the keys by which ``search`` compares records, on first use; None (the default) compares codes.
        marked_by: a fact that only bundles of this layout have, if the plugin has several layouts.
        check_settings: refuses settings that no bundle may have, before the builder is called.
    """

    plugin: str
    restore_adapter: Callable[[Mapping[str, str]], A]
    gallery: GalleryFormat = field(default_factory=GalleryFormat)
    restore_scorer: Callable[[Mapping[str, str], Mapping[str, Tensor]], AnomalyScorer | None] = CalibratedScorer.restore
    marked_by: str = "training"
    check_settings: Callable[[Mapping[str, Any]], None] = lambda settings: None
    keys: Callable[[FittedAutoencoder[A]], Keys | None] = no_keys

    def tensors(self, fitted: FittedAutoencoder[A]) -> dict[str, Tensor]:
        """All tensors of a bundle, by name."""
        found = named(MODEL, state_of(fitted.model))
        if fitted.latent_prior is not None:
            found |= named(MIXTURE, fitted.latent_prior.tensors())
        if fitted.gallery is not None:
            found |= self.gallery.tensors(fitted.gallery)
        if fitted.whitening is not None:
            found |= named(WHITENING, fitted.whitening.tensors())
        return found | (fitted.anomaly_scorer.tensors() if fitted.anomaly_scorer is not None else {})

    def documents(self, fitted: FittedAutoencoder[A]) -> dict[str, str]:
        """All text documents of a bundle, by name."""
        found = dict(fitted.adapter.state())
        if fitted.gallery is not None:
            found |= self.gallery.documents(fitted.gallery)
        return found | (fitted.anomaly_scorer.documents() if fitted.anomaly_scorer is not None else {})

    def restore(
        self,
        builder: str,
        settings: Mapping[str, Any],
        facts: Mapping[str, Any],
        tensors: Mapping[str, Tensor],
        documents: Mapping[str, str],
    ) -> FittedAutoencoder[A]:
        """The inverse of ``tensors`` and ``documents``, on the CPU. If they do not match, any exception may be raised,
        so call it within ``isthmus.bundle.as_damage``.

        Args:
            builder: name of the builder.
            settings: all its keywords.
            facts: facts, including the history.
            tensors: tensors by name.
            documents: documents by name.

        Returns:
            The fitted autoencoder.
        """
        History.from_json(dict(facts["training"]))
        self.check_settings(settings)
        adapter = self.restore_adapter(documents)
        _, found = plugins.find_builder(builder, self.plugin)
        model = rebuild(found, adapter.signal, settings, part_of(tensors, MODEL))
        assert isinstance(model, Autoencoder)
        mixture = part_of(tensors, MIXTURE)
        return FittedAutoencoder(
            adapter=adapter,
            model=model,
            builder=builder,
            settings=settings,
            facts=facts,
            latent_prior=FittedMixture.from_tensors(mixture) if mixture else None,
            gallery=self.gallery.restore(documents, tensors),
            anomaly_scorer=self.restore_scorer(documents, tensors),
            whitening=Whitening.restore(part_of(tensors, WHITENING)),
        )

    def write(self, path: str | Path, fitted: FittedAutoencoder[A], words: CardWords, card: bool = True) -> None:
        """Save it as a bundle, completely or not at all; after a training in several processes, only process 0 does.
        Raises the errors of ``isthmus.bundle.write``.

        Args:
            path: path of the bundle.
            fitted: the state.
            words: what the face says on the model card.
            card: whether to write the card.
        """
        if getattr(fitted.model, "elsewhere", False):
            return
        content = self.content(fitted)
        bundle.write(path, **content, card=card_maker(words, content["documents"], card))

    def content(self, fitted: FittedAutoencoder[A]) -> Content:
        """All that a bundle keeps."""
        return Content(
            plugin=self.plugin,
            builder=fitted.builder,
            settings=fitted.settings,
            tensors=self.tensors(fitted),
            documents=self.documents(fitted),
            facts=fitted.facts,
        )

    def read(self, path: str | Path) -> FittedAutoencoder[A]:
        """Load a saved autoencoder, on the CPU.

        Raises:
            BundleError: the directory is truncated, altered, from another plugin, or from a newer version.
        """
        saved = bundle.read(path)
        manifest = saved.manifest
        if manifest.plugin != self.plugin or self.marked_by not in manifest.facts:
            what = f"{manifest.builder} of {manifest.plugin}"
            raise BundleError(f"{str(path)!r} is a bundle of {what}", expected=f"an autoencoder of {self.plugin}")
        plugins.saved_builder(manifest.builder, self.plugin, path)
        with bundle.as_damage(path):
            return self.restored(saved)

    def restored(self, saved: bundle.Bundle) -> FittedAutoencoder[A]:
        """The inverse of ``content``. Raises the errors of ``restore``."""
        manifest = saved.manifest
        return self.restore(manifest.builder, manifest.settings, manifest.facts, saved.tensors, saved.documents)
