"""The multinomial likelihood of a large catalogue, estimated from a few of its columns.

The exact log-likelihood of a bag, Σ_i x_i z_i − n · log Σ_i exp z_i, needs the logits of all items only for its last
term. Here the sum over items is estimated: exactly for the bag's own items P, and from negatives S for the others,
which all rows of a batch share,

    Σ_i exp z_i  ≈  Σ_{i ∈ P} exp z_i + Σ_{j ∈ S, j ∉ P} exp(z_j − log π_j)

where π_j is the chance that j is among the negatives (Horvitz & Thompson 1952). The estimate is unbiased for all
logits; its logarithm is slightly too low, and the bias of the gradient vanishes as the number of negatives grows.
Correcting logits by the log of the chance: Bengio & Senécal 2008; Jean, Cho, Memisevic & Bengio, ACL 2015, section 3;
Yi et al., RecSys 2019. Rows of the readout that are not used have no gradient, and there is no tensor of size batch ×
catalogue.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Generator, Tensor, nn

from isthmus.batch import Bags, Tensors, require_bags
from isthmus.core import placement
from isthmus.core.likelihoods.discrete import Multinomial
from isthmus.core.ops.bags import rows_of
from isthmus.core.ops.sampled_softmax import sampled_log_prob
from isthmus.core.shares import computed
from isthmus.errors import SettingError
from isthmus.machine.unasked import distinct
from isthmus.protocols import RankingReadout, Source

ROWS = 4096
"""Number of rows of a source that are counted at a time."""

MOST_LOGITS = 1 << 26
"""Maximum number of logits of a batch (256 MB); beyond it, the targets of other rows are not used as negatives."""


class SampledMultinomial(nn.Module):
    """``Multinomial``, estimated from negatives if there is a generator, and exact without one.

    Negatives come from two places. Some are drawn from a mixture, q_i = popularity · count_i / Σ count +
    (1 − popularity) / width: item i gets the length min(1, c q_i), with c such that all lengths add up to
    ``negatives``; the lengths are laid out on a line, the largest first, and one point is drawn in each unit interval.
    Items of length 1 are always drawn; with as many negatives as items that is every item, and the estimate is the
    exact softmax. The others are the targets of the batch's other rows, whose vectors are available anyway: the chance
    of an item that c of the N rows hold to be among B − 1 others is 1 − C(N − 1 − c, B − 1) / C(N − 1, B − 1).

    The counts are known after ``learn``; before it all items have the same probability, and only drawn negatives are
    used. They are not saved with the model, which only needs them for training.

    Args:
        width: number of columns.
        negatives: number of draws per batch.
        popularity: share of the draws that follows popularity, 0 or more and below 1.
        from_batch: whether targets of other rows are negatives too, as long as there are at most ``MOST_LOGITS``
            logits. The rows of a batch must be distinct and uniformly shuffled.
        sparse_gradient: the readout's gradient is sparse, for a plan with ``rowwise``.

    Raises:
        SettingError: no negatives, or a share outside its range.
    """

    counts: Int64[Tensor, " width"]

    def __init__(
        self,
        width: int,
        negatives: int,
        *,
        popularity: float = 0.5,
        from_batch: bool = True,
        sparse_gradient: bool = False,
    ) -> None:
        super().__init__()
        if negatives < 1:
            raise SettingError(f"negatives={negatives}", expected="at least 1")
        if not 0 <= popularity < 1:
            raise SettingError(f"popularity={popularity}", expected="0 <= popularity < 1")
        self.negatives, self.popularity = min(negatives, width), popularity
        self.from_batch, self.sparse_gradient = from_batch, sparse_gradient
        self.exact = Multinomial()
        self.rows = 0
        counts = torch.zeros(width, dtype=torch.int64)
        self.register_buffer("counts", counts, persistent=False)
        self.strata = Strata.of(counts, self.negatives, popularity)

    def learn(self, source: Source) -> None:
        """Count in how many rows of a source each item is a target."""
        counts = torch.zeros_like(self.counts, device="cpu")
        for rows in torch.arange(len(source)).split(ROWS):
            counts += torch.bincount(
                require_bags(source.batch(rows).targets, "a sampled multinomial likelihood").indices.cpu(),
                minlength=len(counts),
            )
        self.rows = len(source)
        self.counts.copy_(counts)
        self.strata = Strata.of(counts, self.negatives, self.popularity)

    def forward(
        self, readout: RankingReadout, decoded: Tensor, targets: Tensors, *, generator: Generator | None = None
    ) -> Float[Tensor, " batch"]:
        """log p(targets | decoded), nats; an estimate if there is a generator.

        Args:
            readout: readout of the model.
            decoded: output of the decoder.
            targets: the values to score.
            generator: random generator, for likelihoods that are estimated.

        Returns:
            Nats, shape (batch,); higher is more probable.
        """
        if generator is None:
            return self.exact(readout, decoded, targets)
        bags = require_bags(targets, "a sampled multinomial likelihood")
        self.strata = self.strata.to(bags.indices.device)
        drawn = self.strata.draw(generator)
        share = computed()
        size = share.counted(bags.size)
        touched = distinct(torch.cat([share.every(bags.indices), drawn]))[0][: len(self.counts)]
        from_batch = self.from_batch and self.rows > 0 and size * len(touched) <= MOST_LOGITS
        columns = touched if from_batch else drawn
        log_chance = self._log_chance(columns, size - 1 if from_batch else 0)
        if columns.device.type != "cpu":
            log_chance[1:].masked_fill_(columns[1:] == columns[:-1], torch.inf)
        rows = placement.rows_of(readout)
        touched = rows.places(touched[rows.within(touched)])
        weight = rows_of(readout.weight, touched, sparse=self.sparse_gradient)
        bias = rows_of(readout.bias, touched, sparse=self.sparse_gradient)
        here = rows.own(bags)
        own = Bags(torch.searchsorted(touched, here.indices), here.offsets, here.weights)
        some = rows.within(columns)
        places = torch.searchsorted(touched, rows.places(columns[some]))
        return sampled_log_prob(
            decoded, weight, bias, own, places, log_chance[some], totals=bags.totals(), rows=rows
        )  # fmt: skip

    def mean(self, readout: RankingReadout, decoded: Tensor) -> Float[Tensor, "batch width"]:
        """Probabilities over all items, computed without sampling."""
        return self.exact.mean(readout, decoded)

    def sample(self, readout: RankingReadout, decoded: Tensor, generator: Generator) -> Float[Tensor, "batch width"]:
        """One exact sample per row, as counts.

        Args:
            readout: readout of the model.
            decoded: output of the decoder.
            generator: random generator.

        Returns:
            One sample for each row.
        """
        return self.exact.sample(readout, decoded, generator)

    def _log_chance(self, columns: Int64[Tensor, " drawn"], others: int) -> Float[Tensor, " drawn"]:
        """log π of columns: of being drawn, or of being a target of one of ``others`` other rows."""
        missed = 1 - self.strata.chances[columns]
        if others:
            missed = missed * missed_by(self.counts[columns], self.rows, others)
        return torch.log1p(-missed)


@dataclass(frozen=True)
class Strata:
    """Lengths on a line, largest first; one point is drawn in each unit interval.

    Attributes:
        order: the columns along the line.
        ends: where each of them ends.
        units: number of points that are drawn.
        chances: probability of each column to be drawn. It is the length, or slightly less for a column that crosses
            the end of a unit: its parts a and b are hit independently, with the probability a + b − ab.
    """

    order: Int64[Tensor, " width"]
    ends: Float64[Tensor, " width"]
    chances: Float64[Tensor, " width"]
    units: int

    @classmethod
    def of(cls, counts: Int64[Tensor, " width"], draws: int, popularity: float) -> Strata:
        """The mixture of ``popularity`` parts of the counts and the rest uniform."""
        shares = popularity * counts.double() / counts.sum().clamp(min=1) + (1 - popularity) / len(counts)
        lengths, order = expected_counts(shares / shares.sum(), draws).sort(descending=True, stable=True)
        ends = lengths.cumsum(0)
        beyond = torch.minimum(ends - ends.floor(), lengths)
        chances = torch.empty_like(lengths).index_copy_(0, order, lengths - beyond * (lengths - beyond))
        return cls(order, ends, chances, draws)

    def to(self, device: torch.device) -> Strata:
        """The same lengths on another device."""
        if self.ends.device == device:
            return self
        return Strata(self.order.to(device), self.ends.to(device), self.chances.to(device), self.units)

    def draw(self, generator: Generator) -> Int64[Tensor, " drawn"]:
        """Columns in ascending order; see ``machine.unasked.distinct``."""
        starts = torch.arange(self.units, device=self.ends.device, dtype=self.ends.dtype)
        points = starts + torch.rand(len(starts), generator=generator, device=starts.device, dtype=starts.dtype)
        places = torch.searchsorted(self.ends, points, right=True).clamp_(max=len(self.ends) - 1)
        columns, _ = distinct(self.order[places])
        return columns


def missed_by(counts: Int64[Tensor, " columns"], rows: int, others: int) -> Float64[Tensor, " columns"]:
    """Probability that none of ``others`` rows, drawn from ``rows`` − 1 without replacement, contains a column that
    ``counts`` of these contain: C(N − 1 − c, others) / C(N − 1, others)."""
    others = min(others, rows - 1)
    left = (rows - 1 - counts).double()
    log_ways = torch.lgamma(left + 1) - torch.lgamma((left - others).clamp(min=0) + 1)
    whole = math.lgamma(rows) - math.lgamma(rows - others)
    missed: Tensor = (log_ways - whole).exp().masked_fill(left < others, 0.0)
    return missed


def expected_counts(shares: Float64[Tensor, " width"], draws: int) -> Float64[Tensor, " width"]:
    """min(1, c · share_i) with c such that they add up to ``draws``.

    With the shares in descending order and the first m of them cut to 1, c = (draws − m) / Σ_{i ≥ m} share_i; m is the
    smallest number for which c leaves the next one at 1 or less.
    """
    descending = shares.sort(descending=True).values
    tails = descending.flip(0).cumsum(0).flip(0)
    scales = (draws - torch.arange(len(shares), dtype=shares.dtype, device=shares.device)) / tails
    first = (scales * descending <= 1 + 1e-12).int().argmax(0, keepdim=True)
    return (scales.index_select(0, first) * shares).clamp(max=1)
