"""A recommender's verbs over features of its items."""

from __future__ import annotations

from typing import TypeVar

from isthmus_interactions.cold_start import extend
from isthmus_interactions.cold_start.features import ItemFeatures
from isthmus_interactions.fitted import FittedView

V = TypeVar("V", bound="FeatureVerbs")


class FeatureVerbs(FittedView):
    """What a recommender gains by features of its items, and how it is rid of them."""

    def with_features(self: V, features: ItemFeatures, *, boost: float = 1.0, seed: int = 0) -> V:
        """A recommender that also ranks items without interactions, by their features. This one does not change.

        The new items follow the old ones, whose rows and scores stay, and take part in every answer. Items of the old
        catalogue without interactions are ranked by their features, too. The score of such an item combines the scores
        of the other items and the history, by ridge regression on the features; the weights of both are chosen on known
        items that are treated as new ones, and reported in ``facts["features"]``. In a history, a new item is replaced
        by the known items most like it. Features that were given before are replaced.

        Args:
            features: of items with interactions, to learn from, and of new ones; see ``ItemFeatures``.
            boost: a factor on the scores of new items. With 1, which ranks all items best, few of them reach the top
                among many known ones; 2 brings forward those with the best match.
            seed: of the users and items that the weights are chosen on.

        Returns:
            The recommender with the larger catalogue.

        Raises:
            InputError: no item with features is in the training data, or ids of another kind (text and numbers).
            SettingError: more features and items than can be solved with, ``boost`` not above 0, or a model that reads
                items in order.
        """
        return type(self)(extend.with_features(self.fitted, features, boost, seed))

    def without_features(self: V) -> V:
        """The recommender without items that only have features: what ``fit`` returned before ``with_features``."""
        return type(self)(extend.without_features(self.fitted))
