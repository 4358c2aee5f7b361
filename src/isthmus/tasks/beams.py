"""Beam search: finds probable rows by extending several prefixes at a time.

A prefix that ends is kept and frees its place in the next step. A row of the batch is finished when as many rows as
there are beams have ended, or when no open prefix can become better than the best ended row: log probabilities only
decrease, so log p / max_length ** length_power is an upper bound for a prefix.
Equal scores keep the order of their prefixes, then of the ids; of equally good rows the shorter one wins.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from isthmus.index.exact.top_k import best_of
from isthmus.tasks.stepwise import Stepwise, until


def beam_search(
    steps: Stepwise, codes: Float[Tensor, "batch code"], beams: int, length_power: float
) -> list[list[int]]:
    """The best row that a beam search finds for each code.

    Args:
        steps: the decoder, step by step.
        codes: one code per row.
        beams: number of prefixes that are kept after each step.
        length_power: log p is divided by tokens ** length_power, which favours long rows; 0 for log p itself.

    Returns:
        Ids of each row without the end token, in the order of the codes.
    """
    ended = _Ended.none(steps, len(codes), codes.device)
    where = torch.arange(len(codes), device=codes.device)
    totals = torch.zeros(len(codes), 1, device=codes.device)
    said = torch.empty(len(codes), 1, 0, dtype=torch.int64, device=codes.device)
    log_probs, state = steps.start(codes)
    for step in range(steps.max_length):
        if step == steps.max_length - 1:
            log_probs = _only(log_probs, steps.end)
        rows, open_, width = len(where), totals.shape[1], log_probs.shape[1]
        candidates = totals[:, :, None] + log_probs.view(rows, open_, width)
        totals, picks = best_of(candidates.flatten(1), beams)
        origin, ids = picks // width, picks % width
        said = torch.cat([_along(said, origin), ids[:, :, None]], 2)
        ends = (ids == steps.end) & (totals > -torch.inf)
        ended.take(where, said, totals, ends, (step + 1) ** length_power)
        totals = totals.masked_fill(ends, -torch.inf)
        going = (~ended.done(where, totals.amax(1) / steps.max_length**length_power, beams)).nonzero()[:, 0]
        if len(going) == 0:
            break
        places = (going[:, None] * open_ + origin[going]).flatten()
        where, totals, said, ids = where[going], totals[going], said[going], ids[going]
        log_probs, state = steps.advance(steps.reorder(state, places), ids.flatten())
    return [until(row, steps.end) for row in ended.said.tolist()]


@dataclass(frozen=True)
class _Ended:
    """The best row that has ended, for each code."""

    scores: Float[Tensor, " batch"]
    said: Int64[Tensor, "batch longest"]
    count: Int64[Tensor, " batch"]

    @staticmethod
    def none(steps: Stepwise, batch: int, device: torch.device) -> _Ended:
        scores = torch.full((batch,), -torch.inf, device=device)
        said = torch.full((batch, steps.max_length), steps.end, device=device)
        return _Ended(scores, said, torch.zeros(batch, dtype=torch.int64, device=device))

    def take(
        self,
        where: Int64[Tensor, " rows"],
        said: Int64[Tensor, "rows beams steps"],
        totals: Float[Tensor, "rows beams"],
        ends: Bool[Tensor, "rows beams"],
        tokens: float,
    ) -> None:
        """Record rows that end now, all of the same length; the first one of each code is its best, because totals
        decrease."""
        first = ends.int().argmax(1, keepdim=True)
        scores = totals.gather(1, first)[:, 0] / tokens
        better = ends.any(1) & (scores > self.scores[where])
        self.scores[where[better]] = scores[better]
        self.said[where[better], : said.shape[2]] = _along(said, first)[better, 0]
        self.count[where] += ends.sum(1)

    def done(self, where: Int64[Tensor, " rows"], most: Float[Tensor, " rows"], beams: int) -> Bool[Tensor, " rows"]:
        return (self.count[where] >= beams) | (self.scores[where] >= most)


def _along(said: Int64[Tensor, "rows open steps"], chosen: Int64[Tensor, "rows beams"]) -> Int64[Tensor, "rows b s"]:
    return said.gather(1, chosen[:, :, None].expand(-1, -1, said.shape[2]))


def _only(log_probs: Float[Tensor, "batch width"], token: int) -> Float[Tensor, "batch width"]:
    only = torch.full_like(log_probs, -torch.inf)
    only[:, token] = log_probs[:, token]
    return only
