"""What a card says of the bundles of one face, beside the figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from isthmus.cards.scores import Measured, of_history
from isthmus.reprs import brief

Sections = Mapping[str, str]
"""Paragraphs by their headings."""


@brief
@dataclass(frozen=True)
class CardWords:
    """What a face says of its bundles. A face holds one as the class attribute ``card_words``.

    Attributes:
        kind: what a bundle is, such as "a recommender".
        about: what it does, in whole sentences.
        task: the pipeline tag of the hub; ``other`` where the hub has none that fits.
        tags: further tags of the hub.
        sizes: facts that count the training data, with the words for them.
        measured: the scores that facts hold, if any.
        sections: further sections, from the facts and the documents of a bundle.
        example: lines of Python that use ``model``, after it was loaded; no ids of real records.
    """

    kind: str = "a model"
    about: str = ""
    task: str = "other"
    tags: tuple[str, ...] = ()
    sizes: Mapping[str, str] = field(default_factory=dict)
    measured: Callable[[Mapping[str, Any]], Measured | None] = of_history
    sections: Callable[[Mapping[str, Any], Mapping[str, str]], Sections] = lambda facts, documents: {}
    example: tuple[str, ...] = ("print(model)",)
