"""The layout of vector autoencoders in bundles."""

from __future__ import annotations

from isthmus.fitted import BundleLayout, GalleryFormat, LikelihoodScorer
from isthmus_vectors.adapter import VectorAdapter
from isthmus_vectors.fit import PLUGIN

LAYOUT: BundleLayout[VectorAdapter] = BundleLayout(
    PLUGIN,
    VectorAdapter.restore,
    GalleryFormat(tensor="known.codes", document=None),
    LikelihoodScorer.restore,
    # Compressors and detectors, which are also bundles of this plugin, do not have this fact.
    marked_by="validation_rows",
)
