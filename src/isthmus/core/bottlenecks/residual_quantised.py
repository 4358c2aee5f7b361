"""Residual quantisation: the code is a sum of codewords, one from each of several codebooks, coarse to fine. Only their
numbers have to be stored, and every prefix of them is a coarser code of the same vector."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn

from isthmus.errors import SettingError
from isthmus.protocols import Code


class ResidualQuantizer(nn.Module):
    """A residual-quantised bottleneck (Lee et al., "Autoregressive Image Generation Using Residual Quantization", CVPR
    2022) whose prefixes are trained as codes as well. The gradient passes through the quantiser with the
    straight-through estimator (Bengio, Léonard & Courville 2013); codebooks get their gradient from the decoded sums.

    ``Code.notes``: "codewords" [batch stages], and "nested" [batch lengths code], the sums of the first codewords for
    each length in ``prefixes``. ``sample`` is the sum of all codewords.

    Args:
        code: dimensions of a codeword.
        stages: number of codebooks, which is the number of codewords in a code.
        codewords: number of codewords per codebook; with 256, a stage takes one byte.
        prefixes: numbers of leading codewords that form a code, ascending; the last is ``stages``.
        beams: partial sums kept in the search for codewords in training; more are slower.

    Raises:
        SettingError: prefixes that do not ascend to ``stages``; a number of codewords outside 2 to 256.
    """

    def __init__(
        self,
        code: int,
        stages: int,
        prefixes: Sequence[int],
        *,
        generator: Generator,
        codewords: int = 256,
        beams: int = 1,
    ) -> None:
        super().__init__()
        if list(prefixes) != sorted(set(prefixes)) or not prefixes or prefixes[0] < 1 or prefixes[-1] != stages:
            raise SettingError(f"prefixes {list(prefixes)}", expected=f"ascending numbers from 1, the last {stages}")
        if not 2 <= codewords <= 256:
            raise SettingError(f"{codewords} codewords", expected="2 to 256, so that a number fits into a byte")
        self.prefixes, self.beams = tuple(prefixes), beams
        self.codebooks = nn.Parameter(torch.empty(stages, codewords, code).normal_(generator=generator))

    def forward(self, hidden: Tensor, *, generator: Generator | None = None, samples: int = 1) -> Code:
        """The nearest sum of codewords; deterministic.

        Args:
            hidden: output of the encoder.
            generator: random generator; None makes the code deterministic.
            samples: number of samples of each code.

        Returns:
            The code; without a generator, its samples equal its point.
        """
        hidden = hidden.float()
        codewords = nearest_codewords(hidden, self.codebooks, self.beams)
        through = hidden - hidden.detach()
        nested = torch.stack([self.sum(codewords, length) + through for length in self.prefixes], 1)
        point = nested[:, -1]
        sample = point.repeat_interleave(samples, 0) if samples > 1 else point
        return Code(point, sample, None, {"codewords": codewords, "nested": nested})

    def codewords(self, hidden: Float[Tensor, "rows code"], stages: int, beams: int) -> Int64[Tensor, "rows stages"]:
        """Numbers of the codewords of the first ``stages`` codebooks."""
        return nearest_codewords(hidden, self.codebooks[:stages], beams)

    def sum(self, codewords: Int64[Tensor, "rows stages"], prefix: int | None = None) -> Float[Tensor, "rows code"]:
        """The code of the leading codewords."""
        return sum_codewords(codewords, self.codebooks, prefix)


SCORES = 1 << 23
"""Maximum number of distances computed at once, which bounds the memory."""


@torch.no_grad()
def nearest_codewords(
    vectors: Float[Tensor, "rows code"], codebooks: Float[Tensor, "stages codewords code"], beams: int = 1
) -> Int64[Tensor, "rows stages"]:
    """Choose a codeword from each codebook so that their sum is near the vector.

    This is a beam search over the codebooks in order: after each one, the ``beams`` nearest partial sums are kept
    (additive quantisation: Babenko & Lempitsky, CVPR 2014; one beam is the greedy choice of Chen, Guan & Wang 2010).

    Args:
        vectors: vectors to quantise; computed in fp32, also under autocast.
        codebooks: the codewords, codebook by codebook.
        beams: number of partial sums kept; more give nearer sums and take proportionally longer.
    """
    size = max(1, SCORES // (beams * codebooks.shape[1]))
    with torch.autocast(vectors.device.type, enabled=False):
        tables = codebooks.detach().float()
        found = [_searched(some.float(), tables, beams) for some in vectors.split(size)]
    return torch.cat(found) if found else torch.zeros(0, len(codebooks), dtype=torch.int64, device=vectors.device)


def sum_codewords(
    codewords: Int64[Tensor, "rows stages"],
    codebooks: Float[Tensor, "all_stages codewords code"],
    prefix: int | None = None,
) -> Float[Tensor, "rows code"]:
    """The sum of the chosen codewords.

    Args:
        codewords: numbers of the codewords, one column per codebook.
        codebooks: the codewords, codebook by codebook.
        prefix: number of leading codebooks to use; by default the number of columns of ``codewords``.

    Returns:
        One vector per row, with a gradient for the codebooks.
    """
    stages = codewords.shape[1] if prefix is None else prefix
    shifts = torch.arange(stages, device=codewords.device) * codebooks.shape[1]
    flat = codebooks[:stages].reshape(-1, codebooks.shape[2])
    return torch.nn.functional.embedding_bag(codewords[:, :stages] + shifts, flat, mode="sum")


@torch.no_grad()
def learned_codebooks(
    vectors: Float[Tensor, "rows code"], stages: int, codewords: int, *, generator: Generator, rounds: int = 6
) -> Float[Tensor, "stages codewords code"]:
    """Train the codebooks one after another by k-means on the residuals of the previous ones (Chen, Guan & Wang 2010).

    Args:
        vectors: examples; where there are fewer than ``codewords``, some codewords are equal.
        rounds: steps of Lloyd's algorithm for each codebook.
    """
    rest = vectors.float().clone()
    tables = []
    for _ in range(stages):
        table = _means(rest, codewords, generator, rounds)
        rest -= table[_closest(rest, table)]
        tables.append(table)
    return torch.stack(tables)


def _searched(
    vectors: Float[Tensor, "rows code"], codebooks: Float[Tensor, "stages codewords code"], beams: int
) -> Int64[Tensor, "rows stages"]:
    rest, chosen = vectors[:, None], torch.zeros(len(vectors), 1, 0, dtype=torch.int64, device=vectors.device)
    for table in codebooks:
        width = rest.shape[1] * len(table)
        # The squared residual is the same for all codewords of one beam, but differs between beams.
        scores = rest.square().sum(2, keepdim=True) + table.square().sum(1) - 2 * rest @ table.T
        best = scores.flatten(1).topk(min(beams, width), dim=1, largest=False).indices
        beam, codeword = best // len(table), best % len(table)
        rest = rest.gather(1, beam[:, :, None].expand(-1, -1, rest.shape[2])) - table[codeword]
        before = chosen.gather(1, beam[:, :, None].expand(-1, -1, chosen.shape[2]))
        chosen = torch.cat([before, codeword[:, :, None]], 2)
    return chosen[:, 0]


def _means(
    vectors: Float[Tensor, "rows code"], codewords: int, generator: Generator, rounds: int
) -> Float[Tensor, "codewords code"]:
    order = torch.randperm(len(vectors), generator=generator).to(vectors.device)
    means = vectors[order[torch.arange(codewords, device=vectors.device) % len(vectors)]].clone()
    for _ in range(rounds):
        nearest = _closest(vectors, means)
        counts = torch.bincount(nearest, minlength=codewords)[:, None]
        sums = torch.zeros_like(means).index_add_(0, nearest, vectors)
        means = torch.where(counts > 0, sums / counts.clamp(min=1), means)
    return means


def _closest(vectors: Float[Tensor, "rows code"], table: Float[Tensor, "codewords code"]) -> Int64[Tensor, " rows"]:
    squares = table.square().sum(1)
    some = [
        torch.addmm(squares, part, table.T, alpha=-2).argmin(1) for part in vectors.split(max(1, SCORES // len(table)))
    ]
    return torch.cat(some)
