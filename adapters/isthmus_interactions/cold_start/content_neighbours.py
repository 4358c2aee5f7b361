"""Neighbours by content: items are recommended by the similarity of their features to those of the history."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Generator

from isthmus.batch import Bag
from isthmus.core.linear.sparse import SparseLinear
from isthmus.errors import SettingError
from isthmus.models.recipes.checks import check_settings
from isthmus.models.recipes.recipe import fit_in_one_step
from isthmus.protocols import Source
from isthmus.reprs import brief
from isthmus.training.history import History
from isthmus.training.progress import Record
from isthmus.training.run import Run, Validation
from isthmus_interactions.baselines import fill_cosines
from isthmus_interactions.csr import Csr


@brief
@dataclass(frozen=True)
class ContentRecipe:
    """A sparse linear model whose weights are computed from features.

    Attributes:
        features: features of the items, shape (features, items); None if they are not known.
    """

    model: SparseLinear
    features: Csr | None = None

    @property
    def chooses_epoch(self) -> bool:
        """Whether there is an epoch to choose. There is not, because nothing is trained."""
        return False

    def fit(self, source: Source, run: Run, validation: Validation | None = None) -> History:
        """Compare the features of all items, then move the model to the device of the run. Deterministic.

        Args:
            source: bags, which are not read.
            run: device and progress.
            validation: the score to compute afterwards.

        Returns:
            One record.

        Raises:
            SettingError: there are no features.
        """
        features = self.features
        if features is None:
            raise SettingError(
                "content-knn without features of items",
                remedy="give them, as in features=ItemFeatures.read('items.csv', tags='genres')",
                option="give them with --features FILE and the columns, such as --tags genres",
            )

        def work() -> Record:
            fill_cosines(self.model.cpu(), features)
            return {}

        return fit_in_one_step(self.model, "count", len(source), run, validation, work)


def content_knn(signal: Bag, *, generator: Generator, neighbours: int = 100) -> ContentRecipe:
    """Content nearest neighbours: sums of cosines of the items' features (Pazzani & Billsus, 2007); needs features.

    Advice: very few interactions per item and good tags or texts; as a part of a blend, where rare items matter.

    The score of an item is the sum of the cosine similarities of its features with those of the items of the history.
    For each item only its nearest ``neighbours`` count, and of equally near ones the first. Interactions are not
    learnt from.

    Args:
        neighbours: how many items contribute to the score of an item.

    Returns:
        A recipe to fit; its model scores items by sums of cosines, higher is better.
    """
    check_settings(neighbours=neighbours)
    return ContentRecipe(SparseLinear(signal.width, max(1, min(neighbours, signal.width - 1))))
