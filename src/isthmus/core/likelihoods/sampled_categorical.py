"""The likelihood of rows of tokens, estimated from a few words of the vocabulary.

The exact log-likelihood of a token, z_i − log Σ_j exp z_j, needs the logits of all words for its last term. Here that
sum is estimated from the token's own logit and from words S that all positions of a batch share,

    Σ_j exp z_j  ≈  exp z_i + Σ_{j ∈ S, j ≠ i} exp(z_j − log π_j)

where π_j is the chance that j is among them, see ``sampled_multinomial``. Frequent words are always among them.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor
from torch.nn import functional as F

from isthmus.batch import Bags, Tensors, require_tokens
from isthmus.core.likelihoods.discrete import ROUND, Categorical
from isthmus.core.likelihoods.sampled_multinomial import Strata
from isthmus.core.ops.bags import rows_of
from isthmus.core.ops.sampled_softmax import sampled_log_prob
from isthmus.errors import SettingError
from isthmus.machine.unasked import distinct
from isthmus.protocols import RankingReadout, Source

ROWS = 4096
"""Number of rows of a source that are counted at a time."""

POPULARITY = 0.75
"""Share of the draws that follows how often words occur; the others are uniform."""


class SampledCategorical:
    """``Categorical``, estimated from some words if there is a generator, and exact without one. It is for training:
    as ``Phase.likelihood``, scores and answers stay exact.

    How often words occur is known after ``learn``; before it all have the same chance.

    Args:
        width: number of words.
        negatives: number of draws for each batch; with as many as words it is the exact softmax.

    Raises:
        SettingError: no negatives.
    """

    def __init__(self, width: int, negatives: int) -> None:
        if negatives < 1:
            raise SettingError(f"negatives={negatives}", expected="at least 1")
        self.negatives = min(negatives, width)
        self.exact = Categorical()
        self.strata = Strata.of(torch.zeros(width, dtype=torch.int64), self.negatives, POPULARITY)

    def __repr__(self) -> str:
        return f"SampledCategorical(negatives={self.negatives})"

    def learn(self, source: Source) -> None:
        """Count how often each word occurs in a source of token rows."""
        width = len(self.strata.order)
        counts = torch.zeros(width, dtype=torch.int64)
        for rows in torch.arange(len(source)).split(ROWS):
            tokens = require_tokens(source.batch(rows).targets, "a sampled categorical likelihood")
            counts += torch.bincount(tokens.ids.flatten()[tokens.real()].cpu(), minlength=width)
        self.strata = Strata.of(counts, self.negatives, POPULARITY)

    def __call__(
        self, readout: RankingReadout, decoded: Tensor, targets: Tensors, *, generator: Generator | None = None
    ) -> Float[Tensor, " batch"]:
        """log p(targets | decoded) of decoded states [batch, steps, hidden], of which position t predicts token t.

        Raises:
            SettingError: targets that are not tokens.
        """
        if generator is None:
            return self.exact(readout, decoded, targets)
        tokens = require_tokens(targets, "a sampled categorical likelihood")
        real = tokens.real()
        ids, states, ends = tokens.ids.flatten()[real], *_padded(decoded, real)
        self.strata = self.strata.to(ids.device)
        drawn = self.strata.draw(generator)
        log_chance = self.strata.chances[drawn].log()
        if drawn.device.type != "cpu":
            log_chance[1:].masked_fill_(drawn[1:] == drawn[:-1], torch.inf)
        touched = distinct(torch.cat([ids, drawn]))[0]
        own = Bags(torch.searchsorted(touched, ids), ends, torch.ones(len(ids), device=ids.device))
        log_probs = sampled_log_prob(
            states,
            rows_of(readout.weight, touched),
            rows_of(readout.bias, touched),
            own,
            torch.searchsorted(touched, drawn),
            log_chance,
        )[: len(ids)]
        rows = real // max(1, tokens.ids.shape[1])
        return log_probs.new_zeros(targets.size).index_add(0, rows, log_probs)

    def mean(
        self, readout: RankingReadout, decoded: Float[Tensor, "*positions hidden"]
    ) -> Float[Tensor, "*positions width"]:
        """Probabilities of the next token, over all words."""
        return self.exact.mean(readout, decoded)

    def sample(
        self, readout: RankingReadout, decoded: Float[Tensor, "*positions hidden"], generator: Generator
    ) -> Int64[Tensor, " *positions"]:
        """One token id for each position, drawn independently from all words.

        Args:
            readout: readout of the model.
            decoded: output of the decoder.
            generator: random generator.

        Returns:
            One sample for each row.
        """
        return self.exact.sample(readout, decoded, generator)


def _padded(
    decoded: Float[Tensor, "batch steps hidden"], real: Int64[Tensor, " tokens"]
) -> tuple[Float[Tensor, "more hidden"], Int64[Tensor, " ends"]]:
    """The states at tokens and some more, see ``ROUND``, and offsets of one target for each token, none for the
    others."""
    places = F.pad(real, (0, -len(real) % ROUND))
    ends = torch.arange(len(places) + 1, device=real.device).clamp_(max=len(real))
    return decoded.flatten(0, 1)[places], ends
