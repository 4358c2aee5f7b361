"""Methods of a recommender for features of items."""

from __future__ import annotations

from typing import TypeVar

from isthmus_interactions.cold_start import extend
from isthmus_interactions.cold_start.features import ItemFeatures
from isthmus_interactions.fitted import FittedView

V = TypeVar("V", bound="FeatureVerbs")


class FeatureVerbs(FittedView):
    """Adds features of items to a recommender, and removes them."""

    def with_features(self: V, features: ItemFeatures, *, boost: float = 1.0, seed: int = 0) -> V:
        """Return a recommender that also ranks items without interactions, by their features. This one does not change.

        The new items follow the old ones, whose rows and scores do not change, and take part in all answers. Items of
        the old catalogue without interactions are also ranked by their features. The score of such an item combines the
        scores of the other items and the history, by ridge regression on the features. The weights of both are chosen
        on known items that are treated as new, and reported in ``facts["features"]``. In a history, a new item is
        replaced by the most similar known items. Features that were given earlier are replaced.

        Args:
            features: features of items with interactions, to learn from, and of new items; see ``ItemFeatures``.
            boost: a factor on the scores of new items. With 1, which ranks all items best, few new items reach the top
                among many known ones; 2 promotes the best matches.
            seed: seed for the users and items on which the weights are chosen.

        Returns:
            The recommender with the larger catalogue.

        Raises:
            InputError: no item with features is in the training data, or ids of another kind (text and numbers).
            SettingError: too many features and items to solve the regression, ``boost`` not above 0, or a sequence
                model.
        """
        return type(self)(extend.with_features(self.fitted, features, boost, seed))

    def without_features(self: V) -> V:
        """The recommender without features and new items, as it was before ``with_features``."""
        return type(self)(extend.without_features(self.fitted))
