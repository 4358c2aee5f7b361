"""Matrix factorisation as an autoencoder: the readout's rows are the factors of the items, and the encoder solves, for
any user, the problem that training solved for each user, with the items held fixed ("fold-in").

    als   weighted least squares       Hu, Koren & Volinsky, "Collaborative Filtering for Implicit Feedback Datasets",
                                       ICDM 2008
    bpr   pairwise logistic loss       Rendle, Freudenthaler, Gantner & Schmidt-Thieme, "BPR: Bayesian Personalized
                                       Ranking from Implicit Feedback", UAI 2009 (in ``pairwise``)

The code is a user's factor, nothing is decoded, and the readout is asked for inner products: recommending, searching
similar items and users, and an index work as for every other autoencoder.
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
"""Float64 numbers that a block of users may take: 32 MB."""

LEAST_RIDGE = 1e-9
"""Of the mean diagonal of the Gram matrix: keeps a problem without regularisation solvable."""


@dataclass(frozen=True)
class Block:
    """Some bags as a rectangle.

    Attributes:
        rows: which bags.
        items: their items; 0 where a bag is shorter than the longest.
        weights: their weights; 0 there.
        there: where items are.
    """

    rows: Int64[Tensor, " block"]
    items: Int64[Tensor, "block longest"]
    weights: Float[Tensor, "block longest"]
    there: Bool[Tensor, "block longest"]


def blocks(bags: Bags, per_item: int, per_row: int) -> Iterator[Block]:
    """All bags, long ones first, in blocks that take at most ``NUMBERS`` numbers.

    Args:
        per_item: numbers that one place of the rectangle takes.
        per_row: numbers that a row takes beside that.
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
    """A user's factor x by the normal equations of weighted least squares (Hu, Koren & Volinsky 2008, equation 4):

        (YᵀY + Yᵀ(C − I)Y + λI) x = YᵀC p

    with p = 1 and a confidence of C = α · weight where the history has an item, and p = 0, C = 1 everywhere else, as
    ``implicit`` has it. Solved in float64, some users at a time.

    Args:
        readout: its weight is Y; its bias plays no part.
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
        """x, given the right side and the history that makes the left one."""
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
        """YᵀY + λI."""
        parts = (part.double() for part in self.readout.weight.split(1 << 16))
        gram = torch.stack([part.T @ part for part in parts]).sum(0)
        ridge = max(self.regularisation, LEAST_RIDGE * float(gram.diagonal().mean().detach()))
        return gram + ridge * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)


class WeightedSquares:
    """log p = −½ Σ_i C_i (p_i − y_i · x)² up to a constant, over all items (Hu, Koren & Volinsky 2008, equation 3
    without its regularisation): what ``LeastSquares`` maximises.

    Args:
        alpha: α of the confidence C = α · weight.
    """

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha

    def __call__(
        self, readout: RankingReadout, decoded: Tensor, targets: Tensors, *, generator: Generator | None = None
    ) -> Float[Tensor, " batch"]:
        """log p(targets | decoded)."""
        bags, weight = only_bags(targets), readout.weight
        everywhere = ((decoded @ (weight.T @ weight)) * decoded).sum(1)
        scores = (weight[bags.indices] * decoded[bags.rows()]).sum(1)
        here = self.alpha * bags.weights * (1 - scores).square() - scores.square()
        return -0.5 * everywhere.index_add(0, bags.rows(), here)

    def mean(self, readout: RankingReadout, decoded: Tensor) -> Float[Tensor, "batch width"]:
        """The scores: they are the mean."""
        return readout.logits(decoded).float()

    def sample(self, readout: RankingReadout, decoded: Tensor, generator: Generator) -> Float[Tensor, "batch width"]:
        """The mean with noise of variance 1, as for an empty history.

        Args:
            readout: of the items.
            decoded: a factor for each user, shape (batch, factors).
            generator: of the noise.

        Returns:
            Scores with noise of variance 1, shape (batch, items).
        """
        mean = self.mean(readout, decoded)
        return mean + torch.empty_like(mean).normal_(generator=generator)


def in_order(solved: list[tuple[Tensor, Tensor]], like: Tensor) -> Tensor:
    """What was solved for some rows at a time, in the order of the rows, in the type of ``like``."""
    if not solved:
        return torch.zeros_like(like)
    places = torch.cat([rows for rows, _ in solved])
    return torch.cat([values for _, values in solved])[torch.argsort(places)].to(like.dtype)


def only_bags(inputs: Tensors | None) -> Bags:
    """The inputs, which have to be bags.

    Raises:
        SettingError: they are not.
    """
    if not isinstance(inputs, Bags):
        raise SettingError(f"item factors asked with {type(inputs).__name__}", expected="bags")
    return inputs
