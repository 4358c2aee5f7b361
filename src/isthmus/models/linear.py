"""Linear models in closed form: settings of one problem, which ``isthmus.core.linear.dense`` states and solves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Generator

from isthmus.batch import Bag, require_bags
from isthmus.core.linear import dense
from isthmus.core.linear.dense import Gram, Inverse, LinearAutoencoder
from isthmus.errors import SettingError
from isthmus.machine.hardware import available_bytes
from isthmus.models.recipes.checks import check_settings
from isthmus.models.recipes.recipe import fit_in_one_step
from isthmus.protocols import Source
from isthmus.reprs import brief
from isthmus.training.history import History
from isthmus.training.interrupts import interruptible
from isthmus.training.progress import Record
from isthmus.training.run import Run, Validation

LARGEST = 50_000
"""Items beyond which the dense width × width matrices are refused: 30 GB."""

SMALLER = "use sparse-linear or elsa, whose memory grows with the items and not with their square"


@brief
@dataclass(frozen=True)
class ClosedFormRecipe:
    """A linear autoencoder and the λ, p and ξ that its weights are solved with.

    Attributes:
        gram: XᵀX of the source that ``fit`` is going to get, where it is known already; see ``gram_of``.
    """

    model: LinearAutoencoder
    regularisation: float
    dropout: float = 0.0
    xi: float = 0.0
    gram: Gram | None = None

    @property
    def chooses_epoch(self) -> bool:
        """False: a closed form has no epochs."""
        return False

    def fit(self, source: Source, run: Run, validation: Validation | None = None) -> History:
        """Solve for the weights on the CPU, then put the model on the run's device.

        Nothing is random, so that seed and precision change nothing. Ctrl-C ends the program; the weights are then as
        they were before, or all of them new.

        Args:
            source: bags.
            run: for its device and its progress.
            validation: a score to be recorded, if any.

        Returns:
            A history of one record.

        Raises:
            SettingError: the free memory does not hold the matrices; or λ is too small for these data.
        """
        device = run.torch_device()
        _check_memory(self.model)

        def work() -> Record:
            # Local: two thirds of the memory are free again before validation wants some.
            inverse = self._inverse(source)
            with interruptible() as stop, stop.held():
                inverse.weights(self.xi, out=self.model.cpu().weights.numpy())
                self.model.to(device).eval()
            return {}

        return fit_in_one_step(self.model, "solve", len(source), run, validation, work)

    def _inverse(self, source: Source) -> Inverse:
        if self.gram is not None:
            return self.gram.inverse(self.regularisation, self.dropout)
        return dense.inverse(bags_matrix(source, self.model.width), self.regularisation, self.dropout)


def gram_of(source: Source, width: int) -> Gram:
    """XᵀX of a source, for models of other λ, p and ξ: ``dataclasses.replace(solved, gram=gram)`` spares them its cost.

    Memory: 8 bytes for each pair of items, beside what each solution takes.
    """
    return Gram.of(bags_matrix(source, width))


def ease(signal: Bag, *, generator: Generator, regularisation: float = 500.0) -> ClosedFormRecipe:
    """EASE: a linear autoencoder with a zero diagonal, in closed form (Steck, WWW 2019).

    Advice: a strong first answer in seconds, with one setting to choose; for sparse data with a long tail of items.

    With C = (XᵀX + λ I)⁻¹ the weights are B_ij = −C_ij / C_jj and B_jj = 0 (equation 8).
    Memory grows with the square of the number of items: 12 bytes for each pair.

    Args:
        regularisation: λ, the L2 penalty on the weights; larger values trust frequent pairs of items more. Published:
            500 for MovieLens-20M, 1,000 for Netflix, 200 for the Million Song data.
    """
    return _solved("EASE", signal, regularisation)


def edlae(
    signal: Bag, *, generator: Generator, regularisation: float = 400.0, dropout: float = 0.5
) -> ClosedFormRecipe:
    """EDLAE: EASE with dropout, still in closed form (Steck, NeurIPS 2020).

    Advice: the first to try up to 50,000 items; on sparse data with a long tail no network here is near it.

    Dropping each entry of X with probability p while the whole row is to be predicted costs, in the mean, the penalty
    ‖Λ^½ B‖² with Λ = p / (1 − p) · diag(XᵀX) + λ I: frequent items are held back more. With C = (XᵀX + Λ)⁻¹ the weights
    are those of EASE, B_ij = −C_ij / C_jj and B_jj = 0 ("Autoencoders that don't overfit towards the Identity").
    Memory grows with the square of the number of items: 12 bytes for each pair.

    Args:
        regularisation: λ, the L2 penalty on the weights; larger values trust frequent pairs of items more.
        dropout: p, the probability that an entry is dropped; 0 is EASE.
    """
    return _solved("EDLAE", signal, regularisation, dropout)


def rdlae(
    signal: Bag, *, generator: Generator, regularisation: float = 400.0, dropout: float = 0.3, xi: float = 0.4
) -> ClosedFormRecipe:
    """RDLAE: EDLAE whose items may predict themselves a little (Moon, Kim & Lee, SIGIR 2023).

    Advice: where rare items matter; one setting more to choose than EDLAE, and as quick.

    The diagonal of the weights is at most ξ instead of 0. With C and Λ as in EDLAE and μ_j = max(0, (1 − ξ) / C_jj −
    Λ_j) they are B = I − C · diag(Λ + μ) ("It's Enough: Relaxing Diagonal Constraints in Linear Autoencoders for
    Recommendation"). Off the diagonal that is EDLAE with column j times 1 − B_jj: items that hardly predict themselves,
    the rare ones, are held back less. Memory grows with the square of the number of items: 12 bytes for each pair.

    Args:
        regularisation: λ, the L2 penalty on the weights; larger values trust frequent pairs of items more.
        dropout: p, the probability that an entry is dropped; 0 is without dropout.
        xi: ξ, the largest weight of an item for itself; 0 is EDLAE, 1 leaves the diagonal free.
    """
    return _solved("RDLAE", signal, regularisation, dropout, xi)


def _solved(name: str, signal: Bag, regularisation: float, dropout: float = 0.0, xi: float = 0.0) -> ClosedFormRecipe:
    check_settings(regularisation=regularisation)
    if not 0 <= dropout < 1:
        raise SettingError(f"dropout={dropout}", expected="0 <= dropout < 1")
    if not 0 <= xi <= 1:
        raise SettingError(f"xi={xi}", expected="0 <= xi <= 1")
    if signal.width > LARGEST:
        raise SettingError(
            f"{name} over {signal.width:,} items needs about {dense.BYTES * signal.width**2 / 1e9:,.0f} GB",
            expected=f"at most {LARGEST:,} items",
            remedy=SMALLER,
        )
    return ClosedFormRecipe(LinearAutoencoder(signal.width), regularisation, dropout, xi)


def _check_memory(model: LinearAutoencoder) -> None:
    """Before an hour of swapping, or a killed process. Loading a model needs a third, so builders do not ask."""
    free = available_bytes()
    # Weights of an earlier fit are in memory; pages that were never written are not.
    here = model.weights.device.type == "cpu" and bool(model.weights.diagonal(1).any())
    need = (dense.BYTES - (model.weights.element_size() if here else 0)) * model.width**2
    if free is not None and need > free:
        raise SettingError(
            f"a linear model of {model.width:,} items needs {need / 1e9:,.2f} GB more",
            expected=f"at most the {free / 1e9:,.2f} GB of memory that are free",
            remedy=SMALLER,
        )


def bags_matrix(source: Source, width: int) -> csr_array:
    """The rows of a source of bags as one matrix on the CPU.

    Raises:
        SettingError: a source of anything else.
    """
    inputs = source.to(torch.device("cpu")).batch(torch.arange(len(source))).inputs
    bags = require_bags(inputs, "a linear model")
    parts = (bags.weights.numpy(), bags.indices.numpy(), bags.offsets.numpy())
    return csr_array(parts, shape=(bags.size, width), dtype=np.float32)
