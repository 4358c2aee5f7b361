"""The layout of text autoencoders in bundles."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from isthmus.cards import CardWords
from isthmus.cards.thresholds import threshold_section
from isthmus.fitted import BundleLayout, GalleryFormat, LikelihoodScorer
from isthmus.fitted.anomaly import THRESHOLD
from isthmus_text.fit import PLUGIN
from isthmus_text.input_output import InputOutput
from isthmus_text.pretrained.checkpoints import check_saved
from isthmus_text.search.keys import search_keys


def _scorer(documents: Mapping[str, str], tensors: Mapping[str, Tensor]) -> LikelihoodScorer | None:
    # Bundles of version 0.1 do not have one.
    return LikelihoodScorer.restore(documents, tensors) if THRESHOLD in documents else None


LAYOUT: BundleLayout[InputOutput] = BundleLayout(
    PLUGIN,
    InputOutput.restore,
    GalleryFormat(tensor="corpus.codes", document="corpus.json", labelled=False, metric="cosine"),
    _scorer,
    check_settings=check_saved,
    keys=search_keys,
)

WORDS = CardWords(
    kind="an autoencoder of texts",
    about="It turns texts into vectors, finds the texts that are most similar to one and, with a decoder of texts, "
    "turns vectors back into texts.",
    task="feature-extraction",
    tags=("autoencoder", "sentence-similarity", "text-embedding"),
    sizes={"texts": "texts", "validation_texts": "texts held out"},
    sections=threshold_section,
    example=('codes = model.encode(["A sentence."])', "again = model.decode(codes)  # with a decoder of texts"),
)
"""What the model card says."""
