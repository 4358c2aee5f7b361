"""Likelihoods of discrete targets, in nats per record. They receive the readout and the decoded state, and never build
a row of the catalogue's width for bags."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from isthmus.batch import Bags, Tensors, Values, require_bags, require_tokens
from isthmus.core.ops.bags import bag_sum
from isthmus.core.ops.softmax import multinomial_log_prob
from isthmus.core.placement import rows_of
from isthmus.errors import SettingError
from isthmus.protocols import RankingReadout, Readout

LOG_2PI = math.log(2 * math.pi)
ROUND = 64
"""The positions of a batch are padded to a multiple of this, because products are compiled for each new shape."""
COLUMNS = 16384
"""Number of columns per chunk if all logits of a bag are needed."""


class Multinomial:
    """Σ_i x_i log softmax(logits)_i over bags (Liang et al. 2018, equation 2); categorical for one target per row."""

    def __call__(
        self, readout: RankingReadout, decoded: Tensor, targets: Tensors, *, generator: Generator | None = None
    ) -> Float[Tensor, " batch"]:
        """log p(targets | decoded)."""
        bags = require_bags(targets, "a multinomial likelihood")
        return multinomial_log_prob(decoded, readout.weight, readout.bias, bags, rows=rows_of(readout))

    def mean(self, readout: RankingReadout, decoded: Tensor) -> Float[Tensor, "batch width"]:
        """Probabilities of the items, which sum to one."""
        return readout.logits(decoded).float().softmax(1)

    def sample(self, readout: RankingReadout, decoded: Tensor, generator: Generator) -> Float[Tensor, "batch width"]:
        """One sample per row, as counts.

        Args:
            readout: readout of the model.
            decoded: output of the decoder.
            generator: random generator.

        Returns:
            One sample for each row.
        """
        drawn = torch.multinomial(self.mean(readout, decoded), 1, generator=generator)
        return F.one_hot(drawn[:, 0], rows_of(readout).width).to(decoded.dtype)


class Categorical:
    """Σ_t log softmax(logits_t)[id_t] over the tokens of a row: a multinomial with one target for each position.

    Only the positions of tokens are computed; padding costs nothing.
    """

    def __call__(
        self, readout: RankingReadout, decoded: Tensor, targets: Tensors, *, generator: Generator | None = None
    ) -> Float[Tensor, " batch"]:
        """log p(targets | decoded) of decoded states [batch, steps, hidden], of which position t predicts token t.

        Raises:
            SettingError: targets that are not tokens, or of another shape than the decoded states.
        """
        log_probs = self.token_log_probs(readout, decoded, targets)
        tokens = require_tokens(targets, "a categorical likelihood")
        rows = tokens.real() // max(1, tokens.ids.shape[1])
        return log_probs.new_zeros(targets.size).index_add(0, rows, log_probs)

    def token_log_probs(self, readout: RankingReadout, decoded: Tensor, targets: Tensors) -> Float[Tensor, " tokens"]:
        """The log-probability of each token that is not padding, in nats.

        Args:
            readout: one row for each token of the vocabulary.
            decoded: states [batch, steps, hidden], of which position t predicts token t.
            targets: token rows of the same batch and steps.

        Returns:
            [tokens], row after row; higher is more probable.

        Raises:
            SettingError: targets that are not tokens, or of another shape than the decoded states.
        """
        rows = require_tokens(targets, "a categorical likelihood")
        if decoded.shape[:-1] != rows.ids.shape:
            raise SettingError(
                f"decoded states {list(decoded.shape)} for targets {list(rows.ids.shape)}",
                expected="one state for each position of the targets",
            )
        real = rows.real()
        ids, count = rows.ids.flatten()[real], len(real)
        padded = F.pad(real, (0, -count % ROUND))
        ends = torch.arange(len(padded) + 1, device=real.device).clamp_(max=count)
        bags = Bags(ids, ends, torch.ones(count, device=real.device))
        return multinomial_log_prob(decoded.flatten(0, 1)[padded], readout.weight, readout.bias, bags)[:count]

    def mean(
        self, readout: RankingReadout, decoded: Float[Tensor, "*positions hidden"]
    ) -> Float[Tensor, "*positions width"]:
        """Probabilities of the next token."""
        logits = readout.logits(decoded.reshape(-1, decoded.shape[-1]))
        return logits.float().softmax(1).view(*decoded.shape[:-1], -1)

    def sample(
        self, readout: RankingReadout, decoded: Float[Tensor, "*positions hidden"], generator: Generator
    ) -> Int64[Tensor, " *positions"]:
        """One token id for each position, drawn independently.

        Args:
            readout: readout of the model.
            decoded: output of the decoder.
            generator: random generator.

        Returns:
            One sample for each row.
        """
        chances = self.mean(readout, decoded.reshape(-1, decoded.shape[-1]))
        return torch.multinomial(chances, 1, generator=generator).view(decoded.shape[:-1])


class Bernoulli:
    """Σ_i x_i z_i − softplus(z_i): independent Bernoulli variables with logits z, for zeros and ones of any shape and
    for bags.

    Numbers between 0 and 1 are treated as means of such variables; for those it is not a density, so its nats cannot be
    compared with those of another likelihood. ``ContinuousBernoulli`` is a density.
    """

    def __call__(
        self, readout: Any, decoded: Tensor, targets: Tensors, *, generator: Generator | None = None
    ) -> Float[Tensor, " batch"]:
        """log p(targets | decoded)."""
        if isinstance(targets, Bags):
            return weighted_logits(readout, decoded, targets) - _softplus_sum(readout, decoded)
        logits = wide(readout.logits(decoded))
        return -F.binary_cross_entropy_with_logits(logits, values_of(targets), reduction="none").flatten(1).sum(1)

    def mean(self, readout: Readout, decoded: Tensor) -> Float[Tensor, "batch ..."]:
        """The probability that each number is one."""
        return wide(readout.logits(decoded)).sigmoid()

    def sample(self, readout: Readout, decoded: Tensor, generator: Generator) -> Float[Tensor, "batch ..."]:
        """Draw zeros and ones with the probabilities ``mean(logits)``.

        Args:
            readout: readout of the model.
            decoded: output of the decoder.
            generator: random generator.

        Returns:
            One sample for each row.
        """
        return torch.bernoulli(self.mean(readout, decoded), generator=generator)


def wide(logits: Tensor) -> Tensor:
    """The logits in fp32 if they are in half precision; double precision is kept."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def weighted_logits(readout: RankingReadout, decoded: Tensor, targets: Bags) -> Float[Tensor, " batch"]:
    """Σ_i x_i z_i over the entries of each bag.

    Args:
        readout: weights and biases of the logits z.
        decoded: one state per row.
        targets: the bags x.

    Returns:
        [batch]; no row of all columns is built.
    """
    biases = bag_sum(readout.bias[:, None], targets)[:, 0]
    return (decoded * bag_sum(readout.weight, targets)).sum(1) + biases


def _softplus_sum(readout: RankingReadout, decoded: Tensor) -> Float[Tensor, " batch"]:
    """Σ_i softplus(z_i), one chunk of columns at a time; each is computed again for its gradient."""
    # Held by name: whoever lends the readout other weights for a call has them back when the gradient is computed.
    weight, bias = readout.weight, readout.bias

    def part(columns: slice) -> Tensor:
        return F.softplus(F.linear(decoded, weight[columns], bias[columns]).float()).sum(1)

    starts = range(0, len(weight), COLUMNS)
    parts = [checkpoint(part, slice(s, s + COLUMNS), use_reentrant=False, preserve_rng_state=False) for s in starts]
    return torch.stack(parts).sum(0)


def values_of(targets: Tensors) -> Tensor:
    """The numbers of dense targets, for likelihoods that read bags as well.

    Raises:
        SettingError: token rows.
    """
    if not isinstance(targets, Values):
        raise SettingError(f"this likelihood of {type(targets).__name__}", expected="bags or dense values")
    return targets.values
