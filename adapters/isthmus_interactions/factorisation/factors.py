"""Matrix factorisation as an autoencoder. The rows of the readout are the item factors, and the encoder solves the
problem that training solves for each user, with fixed item factors ("fold-in"):

    als   weighted least squares       Hu, Koren & Volinsky, "Collaborative Filtering for Implicit Feedback Datasets",
                                       ICDM 2008
    bpr   pairwise logistic loss       Rendle, Freudenthaler, Gantner & Schmidt-Thieme, "BPR: Bayesian Personalized
                                       Ranking from Implicit Feedback", UAI 2009 (in ``pairwise``)

The code is the user's factor, the decoder is the identity, and scores are inner products with the readout.
Recommendation, similar items and users, and an index therefore work as for every other autoencoder.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor, nn

from isthmus.batch import Bags, Tensors
from isthmus.core.ops.bags import bag_sum
from isthmus.core.readouts import LinearReadout
from isthmus.errors import SettingError
from isthmus.protocols import RankingReadout

NUMBERS = 1 << 22
"""Maximum number of float64 values for a block of users: 32 MB."""

LEAST_RIDGE = 1e-9
"""Fraction of the mean diagonal of the Gram matrix that keeps a problem without regularisation solvable."""


@dataclass(frozen=True)
class Block:
    """Some bags, padded to a rectangle.

    Attributes:
        rows: which bags.
        items: their items, padded with 0.
        weights: their weights, padded with 0.
        there: True where there is an item, False for padding.
    """

    rows: Int64[Tensor, " block"]
    items: Int64[Tensor, "block longest"]
    weights: Float[Tensor, "block longest"]
    there: Bool[Tensor, "block longest"]


def blocks(bags: Bags, per_item: int, per_row: int) -> Iterator[Block]:
    """All bags, long ones first, in blocks that take at most ``NUMBERS`` values.

    Args:
        bags: histories.
        per_item: values per item of the rectangle.
        per_row: further values per row.
    """
    lengths = bags.lengths()
    order = torch.argsort(lengths, descending=True, stable=True)
    start = 0
    while start < len(order):
        longest = int(lengths[order[start]])
        rows = order[start : start + max(1, NUMBERS // (longest * per_item + per_row))]
        place = torch.arange(longest, device=rows.device)
        there = place < lengths[rows][:, None]
        entries = (bags.offsets[rows][:, None] + place)[there]
        items = torch.zeros(there.shape, dtype=torch.int64, device=rows.device)
        weights = torch.zeros(there.shape, dtype=torch.float64, device=rows.device)
        items[there], weights[there] = bags.indices[entries], bags.weights[entries].double()
        yield Block(rows, items, weights, there)
        start += len(rows)


class LeastSquares(nn.Module):
    """Computes a user's factor x by the normal equations of weighted least squares (Hu, Koren & Volinsky 2008, equation
    4):

        (YᵀY + Yᵀ(C − I)Y + λI) x = YᵀC p

    with p = 1 and a confidence of C = α · weight for items of the history, and p = 0, C = 1 for all others, as in
    ``implicit``. Solved in float64, some users at a time.

    Args:
        readout: its weight is Y; its bias is ignored.
        alpha: α.
        regularisation: λ.
    """

    def __init__(self, readout: LinearReadout, *, alpha: float, regularisation: float) -> None:
        super().__init__()
        self.readout, self.alpha, self.regularisation = readout, alpha, regularisation

    def enter(self, inputs: Tensors) -> Float[Tensor, "batch code"]:
        """The right-hand side, YᵀC p."""
        bags = only_bags(inputs)
        return bag_sum(self.readout.weight, bags.reweighted(self.alpha * bags.weights))

    def trunk(self, entered: Float[Tensor, "batch code"], inputs: Tensors | None) -> Float[Tensor, "batch code"]:
        """Solve for x, given the right-hand side and the history that determines the left-hand side."""
        bags, code = only_bags(inputs), entered.shape[1]
        common, solved = self._common(), list[tuple[Tensor, Tensor]]()
        for part in blocks(bags, 2 * code, 2 * code**2):
            factors = self.readout.weight[part.items].double()
            extra = (self.alpha * part.weights - 1) * part.there
            left = common + factors.mT @ (extra[:, :, None] * factors)
            x = torch.linalg.solve_ex(left, entered[part.rows].double()[:, :, None])[0][:, :, 0]
            solved.append((part.rows, x))
        return in_order(solved, entered)

    def _common(self) -> Float[Tensor, "code code"]:
        """The part of the system that all users share, YᵀY + λI."""
        parts = (part.double() for part in self.readout.weight.split(1 << 16))
        gram = torch.stack([part.T @ part for part in parts]).sum(0)
        ridge = max(self.regularisation, LEAST_RIDGE * float(gram.diagonal().mean().detach()))
        return gram + ridge * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)


class WeightedSquares:
    """log p = −½ Σ_i C_i (p_i − y_i · x)² up to a constant, over all items (Hu, Koren & Volinsky 2008, equation 3
    without its regularisation); ``LeastSquares`` maximises it.

    Args:
        alpha: α of the confidence C = α · weight.
    """

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha

    def __call__(
        self, readout: RankingReadout, decoded: Tensor, targets: Tensors, *, generator: Generator | None = None
    ) -> Float[Tensor, " batch"]:
        """The log-likelihood log p(targets | decoded)."""
        bags, weight = only_bags(targets), readout.weight
        everywhere = ((decoded @ (weight.T @ weight)) * decoded).sum(1)
        scores = (weight[bags.indices] * decoded[bags.rows()]).sum(1)
        here = self.alpha * bags.weights * (1 - scores).square() - scores.square()
        return -0.5 * everywhere.index_add(0, bags.rows(), here)

    def mean(self, readout: RankingReadout, decoded: Tensor) -> Float[Tensor, "batch width"]:
        """The expected values, which are the scores."""
        return readout.logits(decoded).float()

    def sample(self, readout: RankingReadout, decoded: Tensor, generator: Generator) -> Float[Tensor, "batch width"]:
        """The mean plus noise of variance 1, as for an empty history.

        Args:
            readout: readout of the items.
            decoded: a factor for each user, shape (batch, factors).
            generator: random generator of the noise.

        Returns:
            Scores with noise of variance 1, shape (batch, items).
        """
        mean = self.mean(readout, decoded)
        return mean + torch.empty_like(mean).normal_(generator=generator)


def in_order(solved: list[tuple[Tensor, Tensor]], like: Tensor) -> Tensor:
    """Join results of several blocks, in the order of the rows and in the type of ``like``."""
    if not solved:
        return torch.zeros_like(like)
    places = torch.cat([rows for rows, _ in solved])
    return torch.cat([values for _, values in solved])[torch.argsort(places)].to(like.dtype)


def only_bags(inputs: Tensors | None) -> Bags:
    """Check that the inputs are bags.

    Raises:
        SettingError: they are not.
    """
    if not isinstance(inputs, Bags):
        raise SettingError(f"item factors with inputs of type {type(inputs).__name__}", expected="bags")
    return inputs
