"""Fold-in for BPR (Rendle, Freudenthaler, Gantner & Schmidt-Thieme, "BPR: Bayesian Personalized Ranking from Implicit
Feedback", UAI 2009), with fixed item factors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from isthmus.batch import Tensors
from isthmus.core.ops.bags import bag_sum
from isthmus.core.readouts import LinearReadout
from isthmus.protocols import RankingReadout
from isthmus_interactions.factorisation.factors import Block, blocks, in_order, only_bags

STEPS, HALVINGS = 60, 30
TOLERANCE = 1e-5
"""Tolerance, relative to the largest entry of the gradient, per item of the history."""


class Opponents(nn.Module):
    """The negative items for each history: drawn by their number of interactions, as ``implicit`` draws them, without
    the items of the history.

    All items of a catalogue of at most ``count`` items are used. For larger catalogues, the items at ``count``
    equidistant quantiles of the popularity are used, the same for all users, weighted by the number of quantiles that
    fall on each.

    Args:
        width: number of items.
        count: number of draws that represent all items.
        verify: whether items of the history are left out.
    """

    shares: Tensor

    def __init__(self, width: int, count: int, *, verify: bool) -> None:
        super().__init__()
        self.count, self.verify = count, verify
        self.register_buffer("shares", torch.full((width,), 1 / width))

    def drawn(self) -> tuple[Int64[Tensor, " drawn"], Float[Tensor, " drawn"]]:
        """The items and their weights, which sum to 1."""
        shares = self.shares.double()
        if len(shares) <= self.count:
            return torch.arange(len(shares), device=shares.device), shares
        ends = shares.cumsum(0)
        quantiles = (torch.arange(self.count, device=shares.device) + 0.5) / self.count * ends[-1]
        items, times = torch.searchsorted(ends, quantiles).unique(return_counts=True)
        return items, times.double() / self.count

    def weights(
        self, part: Block, items: Int64[Tensor, " drawn"], each: Float[Tensor, " drawn"]
    ) -> Float[Tensor, "block drawn"]:
        """The weight of each negative item for each user of a block: 0 for items of the history."""
        wide = torch.cat([each, each.new_zeros(1)]).repeat(len(part.rows), 1)
        if self.verify:
            # Other items, and the padding of the rectangle, point to an additional last column that is cut off.
            place = torch.full((len(self.shares),), len(items), device=items.device)
            place[items] = torch.arange(len(items), device=items.device)
            wide.scatter_(1, place[part.items].masked_fill(~part.there, len(items)), 0.0)
        return wide[:, :-1]


@dataclass(frozen=True)
class _Problem:
    """Σ_i Σ_j weight_j softplus(s_j − s_i) + ½ ridge ‖x‖² for each user of a block, with s = y · x + b."""

    own: Float[Tensor, "block longest code"]
    own_bias: Float[Tensor, "block longest"]
    there: Float[Tensor, "block longest"]
    others: Float[Tensor, "drawn code"]
    other_bias: Float[Tensor, " drawn"]
    weights: Float[Tensor, "block drawn"]
    ridge: Float[Tensor, " block"]

    def margins(self, x: Float[Tensor, "block code"]) -> Float[Tensor, "block longest drawn"]:
        """The score differences s_j − s_i between all negative items j and all items i of the history."""
        mine = (self.own @ x[:, :, None])[:, :, 0] + self.own_bias
        return (x @ self.others.T + self.other_bias)[:, None, :] - mine[:, :, None]

    def misfit(self, x: Float[Tensor, "block code"]) -> Float[Tensor, " block"]:
        """The double sum over pairs, without the ridge term."""
        lost = (F.softplus(self.margins(x)) @ self.weights[:, :, None])[:, :, 0]
        return (lost * self.there).sum(1)

    def value(self, x: Float[Tensor, "block code"]) -> Float[Tensor, " block"]:
        """The value of the objective, which is minimised."""
        return self.misfit(x) + 0.5 * self.ridge * x.square().sum(1)

    def derivatives(
        self, x: Float[Tensor, "block code"]
    ) -> tuple[Float[Tensor, "block code"], Float[Tensor, "block code code"]]:
        """Gradient and Hessian: sums over pairs of (y_j − y_i) and of its outer products, separated into sums over i,
        over j, and a mixed term, so that no vector per pair is needed."""
        slope = self.margins(x).sigmoid_()
        pairs = self.there[:, :, None] * self.weights[:, None, :]
        first = pairs * slope
        gradient = first.sum(1) @ self.others - (first.sum(2)[:, None, :] @ self.own)[:, 0]
        second = first.mul_(1 - slope)
        mixed = self.own.mT @ (second @ self.others)
        hessian = self.own.mT @ (second.sum(2)[:, :, None] * self.own) - mixed - mixed.mT
        hessian += self.others.T @ (second.sum(1)[:, :, None] * self.others)
        identity = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        return gradient + self.ridge[:, None] * x, hessian + self.ridge[:, None, None] * identity

    def solved(self) -> Float[Tensor, "block code"]:
        """Minimise by Newton's method from 0 with backtracking; the problem is strictly convex, so the minimum is
        unique."""
        x = torch.zeros(len(self.ridge), self.others.shape[1], dtype=self.ridge.dtype, device=self.ridge.device)
        value, enough = self.value(x), TOLERANCE * self.there.sum(1).clamp(min=1)
        for _ in range(STEPS):
            gradient, hessian = self.derivatives(x)
            if bool((gradient.abs().amax(1) <= enough).all()):
                break
            step = torch.linalg.solve_ex(hessian, -gradient[:, :, None])[0][:, :, 0]
            x, value = self._moved(x, value, step, 1e-4 * (gradient * step).sum(1))
        return x

    def _moved(self, x: Tensor, value: Tensor, step: Tensor, promised: Tensor) -> tuple[Tensor, Tensor]:
        """Move along the step, halved for each user until the Armijo condition holds (up to rounding)."""
        length, slack = torch.ones_like(value), 1e-6 * value.abs()
        for _ in range(HALVINGS):
            moved = x + length[:, None] * step
            reached = self.value(moved)
            worse = reached > value + length * promised + slack
            if not bool(worse.any()):
                break
            length = torch.where(worse, length / 2, length)
        return moved, reached


def problems(
    readout: RankingReadout, opponents: Opponents, inputs: Tensors | None, regularisation: float, prior: float
) -> Iterator[tuple[Block, _Problem]]:
    """Yield each block of users with its objective."""
    items, each = opponents.drawn()
    others, other_bias = readout.weight[items].float(), readout.bias[items].float()
    drawn, code = others.shape
    for part in blocks(only_bags(inputs), 3 * drawn + 3 * code, 3 * drawn + 3 * code**2):
        own, own_bias = readout.weight[part.items].float(), readout.bias[part.items].float()
        there, weights = part.there.float(), opponents.weights(part, items, each.float())
        ridge = regularisation * there.sum(1) * weights.sum(1) + prior
        yield part, _Problem(own, own_bias, there, others, other_bias, weights, ridge)


class PairwiseFit(nn.Module):
    """Computes a user's factor x as the minimum of BPR's expected loss, given the history:

        Σ_{i in history} E_j [softplus(s_j − s_i) + ½ λ ‖x‖²] + ½ π ‖x‖²,     s = y · x + b

    The expectation is over the negative items j as drawn in training. The last term is a normal prior. Training stops
    early and shares the items among all users, while a factor that is fitted alone would grow without bound. As in
    training, weights are ignored.

    Args:
        readout: factors and biases of the items.
        opponents: negative items for each history.
        regularisation: λ.
        prior: π, the precision of the prior.
    """

    def __init__(self, readout: LinearReadout, opponents: Opponents, *, regularisation: float, prior: float) -> None:
        super().__init__()
        self.readout, self.opponents = readout, opponents
        self.regularisation, self.prior = regularisation, prior

    def enter(self, inputs: Tensors) -> Float[Tensor, "batch code"]:
        """The sum of the factors of the items of the history."""
        bags = only_bags(inputs)
        return bag_sum(self.readout.weight, bags.reweighted(torch.ones_like(bags.weights)))

    @torch.no_grad()
    def trunk(self, entered: Float[Tensor, "batch code"], inputs: Tensors | None) -> Float[Tensor, "batch code"]:
        """Solve for x by Newton's method."""
        stated = problems(self.readout, self.opponents, inputs, self.regularisation, self.prior)
        return in_order([(part.rows, problem.solved()) for part, problem in stated], entered)


class PairwiseLogistic:
    """log p = Σ_i E_j log σ(s_i − s_j), BPR-Opt without its regularisation (Rendle et al. 2009, section 4.1).

    Args:
        opponents: negative items for the targets.
    """

    def __init__(self, opponents: Opponents) -> None:
        self.opponents = opponents

    def __call__(
        self, readout: RankingReadout, decoded: Tensor, targets: Tensors, *, generator: Generator | None = None
    ) -> Float[Tensor, " batch"]:
        """The log-likelihood log p(targets | decoded)."""
        stated = problems(readout, self.opponents, targets, 0.0, 0.0)
        misfits = [(part.rows, problem.misfit(decoded[part.rows].float())) for part, problem in stated]
        return -in_order(misfits, decoded.new_zeros(len(decoded)))

    def mean(self, readout: RankingReadout, decoded: Tensor) -> Float[Tensor, "batch width"]:
        """The probability that an item is preferred to an item of score 0."""
        return readout.logits(decoded).float().sigmoid()

    def sample(self, readout: RankingReadout, decoded: Tensor, generator: Generator) -> Float[Tensor, "batch width"]:
        """Draw zeros and ones, independently for each item.

        Args:
            readout: readout of the items.
            decoded: a factor for each user, shape (batch, factors).
            generator: random generator.

        Returns:
            Zeros and ones, shape (batch, items).
        """
        return torch.bernoulli(self.mean(readout, decoded), generator=generator)
