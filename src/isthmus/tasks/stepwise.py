"""Step-by-step decoding: a sequence decoder and its readout return log-probabilities of the next token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Float64, Int64
from torch import Generator, Tensor

from isthmus.errors import ValueRangeError
from isthmus.index.exact.top_k import best_of
from isthmus.machine.devices import double, has_float64
from isthmus.protocols import Readout, SequenceDecoder

Choose = Callable[[Tensor], Tensor]
"""Chooses one token id per row from log-probabilities [batch width]."""
HEAD = 256
"""Number of most probable tokens that are sorted first: a nucleus is rarely larger, and sorting all tokens is slow."""


@dataclass(frozen=True)
class Stepwise:
    """The decoder that all strategies use.

    Attributes:
        decoder, readout: predict the next token.
        end: id of the end token.
        max_length: maximum number of tokens of a row, including the end.
        forbidden: ids that are never generated.
    """

    decoder: SequenceDecoder
    readout: Readout
    end: int
    max_length: int
    forbidden: tuple[int, ...] = ()

    def start(self, codes: Float[Tensor, "batch code"]) -> tuple[Float[Tensor, "batch width"], Any]:
        """Log-probabilities of the first token, and the state to continue from."""
        hidden, state = self.decoder.start(codes)
        return self._log_probs(hidden), state

    def advance(self, state: Any, ids: Int64[Tensor, " batch"]) -> tuple[Float[Tensor, "batch width"], Any]:
        """The same after one more token per row."""
        hidden, state = self.decoder.advance(state, ids)
        return self._log_probs(hidden), state

    def reorder(self, state: Any, rows: Int64[Tensor, " rows"]) -> Any:
        """The state of the given rows."""
        return self.decoder.reorder(state, rows)

    def _log_probs(self, hidden: Tensor) -> Float[Tensor, "batch width"]:
        """The model's own log-probabilities, not renormalised over the allowed tokens; -inf for forbidden ones."""
        log_probs = self.readout.logits(hidden).float().log_softmax(1)
        # A single NaN among the logits makes the whole row NaN.
        if bool(log_probs[:, 0].isnan().any()):
            raise ValueRangeError(
                "a logit is NaN", expected="numbers", remedy="check the model's weights and the codes"
            )
        if self.forbidden:
            log_probs[:, list(self.forbidden)] = -torch.inf
        return log_probs


def one_by_one(steps: Stepwise, codes: Float[Tensor, "batch code"], choose: Choose) -> list[list[int]]:
    """Generate rows one token at a time, without search.

    Args:
        steps: the decoder, step by step.
        codes: one code per row.
        choose: chooses a token for each row from its log probabilities.

    Returns:
        Ids of each row without the end token, in the order of the codes.
    """
    content = steps.max_length - 1
    said = torch.full((len(codes), content), steps.end, device=codes.device)
    where = torch.arange(len(codes), device=codes.device)
    log_probs, state = steps.start(codes)
    for step in range(content):
        ids = choose(log_probs)
        said[where, step] = ids
        live = (ids != steps.end).nonzero()[:, 0]
        if len(live) == 0 or step == content - 1:
            break
        if len(live) < len(ids):
            where, ids, state = where[live], ids[live], steps.reorder(state, live)
        log_probs, state = steps.advance(state, ids)
    return [until(row, steps.end) for row in said.tolist()]


def until(ids: list[int], end: int) -> list[int]:
    """The ids before the first ``end``."""
    return ids[: ids.index(end)] if end in ids else ids


def likeliest(log_probs: Float[Tensor, "batch width"]) -> Int64[Tensor, " batch"]:
    """The most probable token; the smallest id among equal ones."""
    return log_probs.argmax(1)


@dataclass(frozen=True)
class Nucleus:
    """Samples from the smallest set of tokens with the probability ``top_p`` (Holtzman et al. 2020, section 3.1).

    Uniform numbers come from the generator on its own device and are looked up in the cumulative probabilities: a
    generator on the CPU gives the same tokens on every device, up to rounding.
    """

    top_p: float
    temperature: float
    generator: Generator

    def __call__(self, log_probs: Float[Tensor, "batch width"]) -> Int64[Tensor, " batch"]:
        """Draw one token per row."""
        falling, tokens = self._likely(log_probs)
        # A token stays if those before it do not yet reach top_p, so the first one always stays.
        kept = falling * (falling.cumsum(1) - falling < self.top_p)
        ends = kept.cumsum(1)
        place = self.generator.device
        kind = torch.float64 if has_float64(place) else torch.float32
        uniform = torch.rand(len(ends), 1, dtype=kind, device=place, generator=self.generator)
        places = torch.searchsorted(ends, uniform.to(ends) * ends[:, -1:], right=True)
        # Because of rounding, the search may end at tokens with probability 0.
        last = (kept > 0).sum(1, keepdim=True) - 1
        return tokens.gather(1, places.minimum(last))[:, 0].to(log_probs.device)

    def _likely(self, log_probs: Float[Tensor, "batch width"]) -> tuple[Float64[Tensor, "b n"], Int64[Tensor, "b n"]]:
        """Probabilities in descending order and their tokens: the first ``HEAD`` if they contain the nucleus, otherwise
        all."""
        scaled = double(log_probs) / self.temperature
        total = scaled.logsumexp(1, keepdim=True)
        best = best_of(scaled, HEAD)
        if bool(((best.scores - total).exp().sum(1) < self.top_p).any()):
            best = best_of(scaled, scaled.shape[1])
        return (best.scores - total).exp(), best.columns
