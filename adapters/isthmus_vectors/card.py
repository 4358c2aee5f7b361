"""What the model cards of this adapter say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isthmus.cards import CardWords
from isthmus.cards.thresholds import threshold_section
from isthmus.cards.words import Sections
from isthmus.reprs import counted

AUTOENCODER = CardWords(
    kind="an autoencoder of rows of numbers",
    about="It turns rows of numbers into short codes and back, finds the nearest rows, draws new ones, and tells which "
    "rows are unusual.",
    task="feature-extraction",
    tags=("autoencoder", "tabular", "anomaly-detection"),
    sizes={"rows": "rows", "width": "columns", "validation_rows": "rows held out"},
    sections=threshold_section,
    example=("codes = model.encode(rows)  # an array, a data frame or a file", "again = model.decode(codes)"),
)

DETECTOR = CardWords(
    kind="a detector of anomalies",
    about="It tells which rows of a table are unlike the rows that it was fitted to, and which columns make them so.",
    task="tabular-classification",
    tags=("anomaly-detection", "outlier-detection", "tabular"),
    sections=threshold_section,
    example=(
        "scores = model.anomaly_scores(rows)  # an array, a data frame or a file",
        "flags = model.is_anomaly(rows)",
    ),
)


def _kept(facts: Mapping[str, Any], documents: Mapping[str, str]) -> Sections:
    """What codes of each length keep of the training vectors."""
    kept = facts.get("kept")
    if not isinstance(kept, dict) or not isinstance(kept.get("cosine"), list):
        return {}
    lengths = [f"{counted(size, 'byte')}: {cosine:.4f}" for size, cosine in enumerate(kept["cosine"], start=1)]
    return {"What codes keep": f"Mean cosine similarity of training vectors and their codes: {', '.join(lengths)}."}


COMPRESSOR = CardWords(
    kind="a compressor of vectors",
    about="It stores vectors in few bytes each, and searches among the codes.",
    task="feature-extraction",
    tags=("quantization", "vector-compression"),
    sizes={"width": "numbers in a vector"},
    sections=_kept,
    example=("codes = model.encode(vectors)", "hits = model.search(vectors[:1], codes, k=10)"),
)
