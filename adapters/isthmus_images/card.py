"""What the model card of an image autoencoder says."""

from __future__ import annotations

from isthmus.cards import CardWords
from isthmus.cards.thresholds import threshold_section

WORDS = CardWords(
    kind="an autoencoder of images",
    about="It turns images into short codes and back, finds similar ones, removes noise and draws new ones.",
    task="image-feature-extraction",
    tags=("autoencoder", "image-denoising"),
    sizes={"images": "images", "validation_images": "images held out"},
    sections=threshold_section,
    example=('codes = model.encode("a folder of images")', "again = model.decode(codes)"),
)
