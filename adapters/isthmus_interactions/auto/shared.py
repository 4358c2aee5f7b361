"""Shares Gram matrices, neighbours and singular vectors of the training users between closed forms with different
settings."""

from __future__ import annotations

from dataclasses import replace

from isthmus.core.linear.columnwise import Prepared
from isthmus.core.linear.dense import Gram
from isthmus.core.linear.row_weights import RowWeights
from isthmus.core.linear.spectrum import Spectrum
from isthmus.machine.hardware import available_bytes
from isthmus.models.linear import ClosedFormRecipe, gram_of
from isthmus.models.low_pass import LowPassRecipe
from isthmus.models.sparse_linear import ColumnwiseRecipe
from isthmus.protocols import Recipe
from isthmus.sources import BagSource
from isthmus.training.interrupts import interruptible
from isthmus.training.progress import doing
from isthmus.training.run import Run

KEPT, FREE_SHARE = 4 << 30, 0.25
"""Bytes of the neighbours of columns that are kept at most, and the share of the free memory."""


class SharedWork:
    """Computes intermediate results of closed forms once for all settings that need them.

    Args:
        source: the training users.
        width: number of items.
        run: progress and seed.
    """

    def __init__(self, source: BagSource, width: int, run: Run) -> None:
        self.source, self.width, self.run = source, width, run
        self._gram: tuple[RowWeights, Gram] | None = None
        self._columns: tuple[tuple[RowWeights, int], Prepared] | None = None
        self._spectra: dict[tuple[float, float], Spectrum] = {}

    def given(self, recipe: Recipe) -> Recipe:
        """The recipe with the shared results for the training users; other recipes are unchanged."""
        if isinstance(recipe, ClosedFormRecipe):
            return replace(recipe, gram=self._gram_of(recipe))
        if isinstance(recipe, ColumnwiseRecipe):
            return replace(recipe, prepared=self._columns_of(recipe))
        if isinstance(recipe, LowPassRecipe):
            return replace(recipe, spectrum=self._spectrum_of(recipe))
        return recipe

    @staticmethod
    def without(recipe: Recipe) -> Recipe:
        """The recipe without the shared results, because its next fit is on other users."""
        if isinstance(recipe, ClosedFormRecipe):
            return replace(recipe, gram=None)
        if isinstance(recipe, ColumnwiseRecipe):
            return replace(recipe, prepared=None)
        if isinstance(recipe, LowPassRecipe):
            return replace(recipe, spectrum=None)
        return recipe

    def release(self) -> None:
        """Drop everything; a Gram matrix may take gigabytes."""
        self._gram = self._columns = None
        self._spectra.clear()

    def has_spectrum(self, user_power: float, item_power: float) -> bool:
        """Whether singular vectors are known for these powers."""
        return (user_power, item_power) in self._spectra

    def _gram_of(self, recipe: ClosedFormRecipe) -> Gram:
        if self._gram is None or self._gram[0] != recipe.rows:
            self._gram = None  # one at a time: each takes 8 bytes for a pair of items
            counting = doing(self.run.progress, "counting which items occur together")
            with interruptible() as stop, stop.at_once(), counting:
                self._gram = (recipe.rows, gram_of(self.source, self.width, recipe.rows, recipe.features))
        return self._gram[1]

    def _columns_of(self, recipe: ColumnwiseRecipe) -> Prepared:
        key = (recipe.rows, recipe.neighbours)
        if self._columns is None or self._columns[0] != key:
            self._columns = None  # one at a time, as above
            free = available_bytes()
            kept = KEPT if free is None else min(KEPT, int(FREE_SHARE * free))
            self._columns = (key, recipe.prepare(self.source, kept))
        return self._columns[1]

    def _spectrum_of(self, recipe: LowPassRecipe) -> Spectrum:
        own = recipe.filter
        key = (own.user_power, own.item_power)
        known = self._spectra.get(key)
        if known is None or known.vectors.shape[1] < min(own.vectors, self.width):
            decomposing = doing(self.run.progress, "decomposing the matrix of users and items")
            with interruptible() as stop, stop.at_once(), decomposing:
                known = self._spectra[key] = recipe.decompose(self.source, self.run)
        return known
