"""Linear models in closed form, which are special cases of one problem, see ``isthmus.core.linear.dense``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Generator

from isthmus.batch import Bag, require_bags
from isthmus.core.linear import dense
from isthmus.core.linear.changing import ChangingInverse
from isthmus.core.linear.dense import Gram, Inverse, LinearAutoencoder
from isthmus.core.linear.row_weights import RowWeights, row_weights, weighed
from isthmus.errors import SettingError
from isthmus.machine.hardware import available_bytes
from isthmus.models.recipes.checks import check_settings
from isthmus.models.recipes.recipe import fit_in_one_step
from isthmus.protocols import Source
from isthmus.reprs import brief
from isthmus.sources import SomeRows
from isthmus.training.history import History
from isthmus.training.interrupts import interruptible
from isthmus.training.progress import Record
from isthmus.training.run import Run, Validation

LARGEST = 50_000
"""Maximum number of items for dense width × width matrices: 30 GB."""

STRONGEST = 2.0
"""Maximum of ``length_power``: with 2, every row has the total weight of one pair."""

HEAVIEST = 1e9
"""Maximum weight of features, so that squares do not overflow in 32 bits."""

PART = 1 << 24
"""Number of entries of rows that are counted at a time; each takes about 60 bytes meanwhile."""

NEUTRAL = RowWeights()
"""All rows have the same weight."""

SMALLER = "use sparse-linear or elsa, whose memory grows linearly with the number of items"


@brief
@dataclass(frozen=True)
class ClosedFormRecipe:
    """A linear autoencoder and the λ, p and ξ for which its weights are solved.

    Attributes:
        rows: how rows count.
        features: features of the items, shape (features, items), if they have a weight.
        gram: XᵀX of the weighted rows of the source of ``fit``, if it is already known; see ``gram_of``.
    """

    model: LinearAutoencoder
    regularisation: float
    dropout: float = 0.0
    xi: float = 0.0
    rows: RowWeights = NEUTRAL
    features: csr_array | None = None
    gram: Gram | None = None

    @property
    def chooses_epoch(self) -> bool:
        """Whether there is an epoch to choose. There is not, because a closed form has no epochs."""
        return False

    def fit(self, source: Source, run: Run, validation: Validation | None = None) -> History:
        """Solve for the weights on the CPU, then move the model to the run's device if it has the memory.

        Deterministic: seed and precision have no effect. Ctrl-C ends the program, with the weights either unchanged or
        completely replaced.

        Args:
            source: bags.
            run: device and progress.
            validation: a score to record, if any.

        Returns:
            A history with one record.

        Raises:
            SettingError: the matrices do not fit in the free memory, or λ is too small for these data.
        """
        _check_memory(self.model)

        def work() -> Record:
            # A local variable: two thirds of the memory are free again before validation needs memory.
            inverse = self._inverse(source)
            with interruptible() as stop, stop.held():
                inverse.weights(self.xi, out=self.model.cpu().weights.numpy())
            return {}

        return fit_in_one_step(self.model, "solve", len(source), run, validation, work)

    @property
    def changing(self) -> Callable[[csr_array], ChangingInverse] | None:
        """Solves for the inverse of data that will change, shape (rows, width); see ``isthmus.core.linear.changing``.

        None if rows are weighted by their length, because one more row changes the weights of all, or if features have
        a weight. It takes 8 bytes for each pair of items, in addition to 4 for the weights, and raises SettingError if
        they do not fit in the free memory, or λ is too small.
        """
        return self._changing if self.rows == NEUTRAL else None

    def _changing(self, matrix: csr_array) -> ChangingInverse:
        _check_memory(self.model)
        return ChangingInverse.of(matrix, self.regularisation, self.dropout, self.xi)

    def _inverse(self, source: Source) -> Inverse:
        if self.gram is not None:
            return self.gram.inverse(self.regularisation, self.dropout)
        parts = _parts(source, self.model.width, self.rows, self.features)
        return dense.inverse_of(parts, self.model.width, self.regularisation, self.dropout)


def gram_of(source: Source, width: int, rows: RowWeights = NEUTRAL, features: csr_array | None = None) -> Gram:
    """XᵀX of a source, for models with other λ, p and ξ: ``dataclasses.replace(solved, gram=gram)`` saves its
    computation.

    Memory: 8 bytes for each pair of items, in addition to that of each solution.

    Args:
        source: bags.
        width: number of columns.
        rows: how rows count.
        features: features of the items, shape (features, items), if they are to count.

    Returns:
        XᵀX in float64.
    """
    return Gram.of_parts(_parts(source, width, rows, features), width)


def _parts(source: Source, width: int, rows: RowWeights, features: csr_array | None) -> Iterator[csr_array]:
    """The weighted rows of a source and of features, in blocks, so that memory does not grow with the number of
    rows."""
    lengths = source.lengths.cpu().numpy().astype(np.int64)
    ends = np.cumsum(lengths)
    weights = row_weights(lengths, rows.length_power) if rows.length_power else None
    start = 0
    while start < len(lengths):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + PART, side="right")))
        matrix = bags_matrix(SomeRows(source, torch.arange(start, stop)), width)
        yield matrix if weights is None else weighed(matrix, weights[start:stop])
        start = stop
    further = rows.features(features, np.float32)
    if further is not None:
        yield further


def ease(
    signal: Bag,
    *,
    generator: Generator,
    regularisation: float = 500.0,
    length_power: float = 0.0,
    feature_weight: float = 0.0,
) -> ClosedFormRecipe:
    """EASE: a linear autoencoder with a zero diagonal, in closed form (Steck, WWW 2019).

    Advice: a strong baseline in seconds, with a single setting; for sparse data with a long tail of items.

    With C = (XᵀX + λ I)⁻¹ the weights are B_ij = −C_ij / C_jj and B_jj = 0 (equation 8).
    Memory grows with the square of the number of items: 12 bytes for each pair.

    Args:
        regularisation: λ, the L2 penalty on the weights; larger values rely more on frequent pairs of items. Published:
            500 for MovieLens-20M, 1,000 for Netflix, 200 for the Million Song data.
        length_power: a; a row of n items counts n^−a times, so that with 0.25 or 0.5 long rows do not decide alone; 0
            is the published model.
        feature_weight: number of interactions that the features of an item are worth, if features are given; without a
            number, the weight is then chosen on held-out users.
    """
    return _solved("EASE", signal, RowWeights(length_power, feature_weight), regularisation)


def edlae(
    signal: Bag,
    *,
    generator: Generator,
    regularisation: float = 400.0,
    dropout: float = 0.5,
    length_power: float = 0.0,
    feature_weight: float = 0.0,
) -> ClosedFormRecipe:
    """EDLAE: EASE with dropout, in closed form (Steck, NeurIPS 2020).

    Advice: the first model to try for up to 50,000 items; on sparse data with a long tail, better than all networks
    here.

    Dropping each entry of X with probability p and predicting the whole row adds, in expectation, the penalty ‖Λ^½ B‖²
    with Λ = p / (1 − p) · diag(XᵀX) + λ I: frequent items are regularised more. With C = (XᵀX + Λ)⁻¹ the weights are
    those of EASE, B_ij = −C_ij / C_jj and B_jj = 0 ("Autoencoders that don't overfit towards the Identity").
    Memory grows with the square of the number of items: 12 bytes for each pair.

    Args:
        regularisation: λ, the L2 penalty on the weights; larger values rely more on frequent pairs of items.
        dropout: p, the probability that an entry is dropped; 0 is EASE.
        length_power: a; a row of n items counts n^−a times, so that with 0.25 or 0.5 long rows do not decide alone; 0
            is the published model.
        feature_weight: number of interactions that the features of an item are worth, if features are given; without a
            number, the weight is then chosen on held-out users.
    """
    return _solved("EDLAE", signal, RowWeights(length_power, feature_weight), regularisation, dropout)


def rdlae(
    signal: Bag,
    *,
    generator: Generator,
    regularisation: float = 400.0,
    dropout: float = 0.3,
    xi: float = 0.4,
    length_power: float = 0.0,
    feature_weight: float = 0.0,
) -> ClosedFormRecipe:
    """RDLAE: EDLAE with a relaxed diagonal (Moon, Kim & Lee, SIGIR 2023).

    Advice: if rare items matter; one setting more than EDLAE, and as fast.

    The diagonal of the weights is at most ξ instead of 0. With C and Λ as in EDLAE and μ_j = max(0, (1 − ξ) / C_jj −
    Λ_j), the weights are B = I − C · diag(Λ + μ) ("It's Enough: Relaxing Diagonal Constraints in Linear Autoencoders
    for Recommendation"). The off-diagonal weights are those of EDLAE with column j times 1 − B_jj: rare items, which
    hardly predict themselves, are regularised less. Memory grows with the square of the number of items: 12 bytes for
    each pair.

    Args:
        regularisation: λ, the L2 penalty on the weights; larger values rely more on frequent pairs of items.
        dropout: p, the probability that an entry is dropped; 0 for no dropout.
        xi: ξ, the largest weight of an item for itself; 0 is EDLAE, 1 does not restrict the diagonal.
        length_power: a; a row of n items counts n^−a times, so that with 0.25 or 0.5 long rows do not decide alone; 0
            is the published model.
        feature_weight: number of interactions that the features of an item are worth, if features are given; without a
            number, the weight is then chosen on held-out users.
    """
    return _solved("RDLAE", signal, RowWeights(length_power, feature_weight), regularisation, dropout, xi)


def check_linear(regularisation: float, dropout: float, xi: float, rows: RowWeights) -> None:
    """Check the settings that all linear models share.

    Args:
        regularisation: λ, above 0.
        dropout: p, below 1.
        xi: ξ, a share.
        rows: how rows count.

    Raises:
        SettingError: the message names the setting.
    """
    check_settings(regularisation=regularisation)
    if not 0 <= dropout < 1:
        raise SettingError(f"dropout={dropout}", expected="0 <= dropout < 1")
    if not 0 <= xi <= 1:
        raise SettingError(f"xi={xi}", expected="0 <= xi <= 1")
    if not 0 <= rows.length_power <= STRONGEST:
        raise SettingError(f"length_power={rows.length_power}", expected=f"0 <= length_power <= {STRONGEST:g}")
    if not 0 <= rows.feature_weight <= HEAVIEST:
        raise SettingError(f"feature_weight={rows.feature_weight}", expected="a number of interactions, 0 or more")


def _solved(
    name: str, signal: Bag, rows: RowWeights, regularisation: float, dropout: float = 0.0, xi: float = 0.0
) -> ClosedFormRecipe:
    check_linear(regularisation, dropout, xi, rows)
    if signal.width > LARGEST:
        raise SettingError(
            f"{name} over {signal.width:,} items needs about {dense.BYTES * signal.width**2 / 1e9:,.0f} GB",
            expected=f"at most {LARGEST:,} items",
            remedy=SMALLER,
        )
    return ClosedFormRecipe(LinearAutoencoder(signal.width), regularisation, dropout, xi, rows)


def _check_memory(model: LinearAutoencoder) -> None:
    """Check the memory before the computation would swap or be killed. Loading a model needs a third, so builders do
    not check."""
    free = available_bytes()
    # Weights of an earlier fit are in memory; pages that were never written are not.
    here = model.weights.device.type == "cpu" and bool(model.weights.diagonal(1).any())
    need = (dense.BYTES - (model.weights.element_size() if here else 0)) * model.width**2
    if free is not None and need > free:
        raise SettingError(
            f"a linear model of {model.width:,} items needs {need / 1e9:,.2f} GB more",
            expected=f"at most the {free / 1e9:,.2f} GB of free memory",
            remedy=SMALLER,
        )


def bags_matrix(source: Source, width: int) -> csr_array:
    """The rows of a source of bags as one matrix on the CPU.

    Raises:
        SettingError: a source of anything else.
    """
    here = source.to(torch.device("cpu"))
    mapped: csr_array | None = getattr(here, "mapped", None)
    if mapped is not None:
        return mapped
    inputs = here.batch(torch.arange(len(source))).inputs
    bags = require_bags(inputs, "a linear model")
    parts = (bags.weights.numpy(), bags.indices.numpy(), bags.offsets.numpy())
    return csr_array(parts, shape=(bags.size, width), dtype=np.float32)
