"""Model cards: ``README.md`` of a bundle, as the Hugging Face hub and people read it.

A card is made of the manifest alone. It holds no ids, titles or records, only their numbers. It is not part of what a
bundle verifies, so that people may edit it, and nothing that is read from a bundle depends on it.
"""

from isthmus.cards.card import card_maker, card_of, card_text, write_card
from isthmus.cards.scores import Measured, Score, read_scores
from isthmus.cards.words import CardWords

__all__ = ["CardWords", "Measured", "Score", "card_maker", "card_of", "card_text", "read_scores", "write_card"]
