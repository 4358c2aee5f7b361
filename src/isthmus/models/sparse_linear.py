"""A sparse linear model for catalogues whose squared size does not fit in memory, see
``isthmus.core.linear.columnwise``."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch
from scipy.sparse import csr_array
from torch import Generator

from isthmus.batch import Bag
from isthmus.core.linear import columnwise
from isthmus.core.linear.row_weights import RowWeights
from isthmus.core.linear.sparse import SparseLinear
from isthmus.models.linear import NEUTRAL, bags_matrix, check_linear
from isthmus.models.recipes.checks import check_settings
from isthmus.models.recipes.recipe import fit_in_one_step
from isthmus.protocols import Source
from isthmus.reprs import brief
from isthmus.training.history import History
from isthmus.training.run import Run, Validation

logger = logging.getLogger(__name__)


@brief
@dataclass(frozen=True)
class ColumnwiseRecipe:
    """A sparse linear autoencoder and its settings: m neighbours per column, λ, p and ξ.

    Attributes:
        rows: how rows count.
        features: features of the items, shape (features, items), if they are to count.
        prepared: the rows of the source of ``fit`` with the neighbours of the columns, if they are already known.
    """

    model: SparseLinear
    neighbours: int
    regularisation: float
    dropout: float
    xi: float
    rows: RowWeights = NEUTRAL
    features: csr_array | None = None
    prepared: columnwise.Prepared | None = None

    @property
    def chooses_epoch(self) -> bool:
        """Whether there is an epoch to choose. There is not, because each column is solved to convergence."""
        return False

    def fit(self, source: Source, run: Run, validation: Validation | None = None) -> History:
        """Solve for the weights on the CPU, some columns at a time, then move the model to the run's device.

        Progress counts columns, and its loss is the mean unexplained share of a column's sum of squares. Deterministic:
        seed and precision have no effect. Ctrl-C ends the program after the current columns, with the model unchanged.

        Args:
            source: bags.
            run: device and progress.
            validation: a score to record, if any.

        Returns:
            A history with one record, including the final ``loss``.

        Raises:
            SettingError: the regularisation is too small for these data.
        """
        return fit_in_one_step(
            self.model,
            "solve",
            self.model.width,
            run,
            validation,
            lambda: {"loss": self._solve(self.prepared or self.prepare(source), run)},
        )

    def prepare(self, source: Source, kept: int = 0) -> columnwise.Prepared:
        """The rows of a source, for models with other λ, p and ξ and as many neighbours.

        Args:
            source: bags.
            kept: bytes that may be kept from one solution to the next.
        """
        rows = self.rows.joined(bags_matrix(source, self.model.width), self.features)
        return columnwise.Prepared(rows, self.neighbours, kept)

    def _solve(self, prepared: columnwise.Prepared, run: Run) -> float:
        """Compute the weights in place; return the mean unexplained share."""
        width, slots = self.model.weights.shape
        need = prepared.memory / 1e9
        logger.info("a sparse linear model of %s columns takes about %.2f GB at most", f"{width:,}", need)
        neighbours, weights = torch.empty(width, slots, dtype=torch.int32), torch.empty(width, slots)
        left, done = 0.0, 0
        for part in prepared.solutions(self.regularisation, self.dropout, self.xi):
            columns = slice(part.first, part.first + len(part.weights))
            neighbours[columns], weights[columns] = part.neighbours, part.weights
            left, done = left + float(part.unexplained.sum()), done + len(part.weights)
            run.progress.step(len(part.weights), left / done)
        self.model.cpu().assign(neighbours, weights)
        return left / max(1, done)


def sparse_linear(
    signal: Bag,
    *,
    generator: Generator,
    neighbours: int = 100,
    regularisation: float = 50.0,
    dropout: float = 0.3,
    xi: float = 0.0,
    length_power: float = 0.0,
    feature_weight: float = 0.0,
) -> ColumnwiseRecipe:
    """A sparse EDLAE: each item is predicted only from its nearest items.

    Advice: the linear model for more than 50,000 items, instead of EDLAE.

    The weights of item j are those of the closed form over its m nearest items N, b = (G_NN + Λ_N)⁻¹ G_Nj with G = XᵀX
    and Λ = p / (1 − p) · diag(G) + λ I: SLIM (Ning & Karypis, ICDM 2011) with neighbours chosen in advance,
    and the local problems in Steck, "Markov Random Fields for Collaborative Filtering", NeurIPS 2019. With all other
    items as neighbours it equals EDLAE. The model takes 8 bytes for each of items × m weights; solving needs a few more
    GB.

    Args:
        neighbours: m, the number of items from which each item is predicted; time grows with its cube, memory with its
            square.
        regularisation: λ, the L2 penalty on the weights; larger values rely more on frequent pairs of items.
        dropout: p, the probability that an entry is dropped, as in EDLAE.
        xi: ξ, as in RDLAE: the largest weight of an item for itself.
        length_power: a; a row of n items counts n^−a times, so that with 0.25 or 0.5 long rows do not decide alone; 0
            is the published model.
        feature_weight: number of interactions that the features of an item are worth, if features are given; without a
            number, the weight is then chosen on held-out users.
    """
    check_settings(neighbours=neighbours)
    rows = RowWeights(length_power, feature_weight)
    check_linear(regularisation, dropout, xi, rows)
    others = min(neighbours, max(0, signal.width - 1))
    model = SparseLinear(signal.width, others + (xi > 0))
    return ColumnwiseRecipe(model, others, regularisation, dropout, xi, rows)
