"""Vector quantisation: each part of the code is one row of a table, a codeword (van den Oord et al., "Neural discrete
representation learning", NIPS 2017)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn

from isthmus.core.bottlenecks.sparse import before
from isthmus.core.ops.layers import linear
from isthmus.errors import SettingError
from isthmus.protocols import Code

SMOOTHING = 1e-5
"""Added to the usage counts of codewords, to avoid a division by 0."""


class VectorQuantised(nn.Module):
    """A linear layer to ``parts`` vectors, each replaced by the nearest codeword of its part's table.

    The gradient passes from the codeword to the vector unchanged (straight-through estimator). Codewords have no
    gradient: each is an exponential moving average of the vectors assigned to it (appendix A.1). A codeword that is
    rarely used is replaced by a vector of the batch. Training needs ``Commitment`` among the penalties.

    Notes: ``codewords``, the table row of each part [batch, parts], and ``distance``, the squared distance between a
    record's vectors and their codewords [batch], with a gradient for the vectors.

    Args:
        hidden: width of the hidden state.
        code: dimensions of the code, all parts concatenated; a multiple of ``parts``.
        codewords: number of rows of each table.
        parts: number of codewords in a code; there are codewords ** parts different codes.

    Raises:
        SettingError: fewer than 2 codewords, or parts that do not divide the code.
    """

    decay = 0.99
    starved = 0.01
    table: Tensor
    used: Tensor
    sums: Tensor
    begun: Tensor

    def __init__(self, hidden: int, code: int, codewords: int, *, generator: Generator, parts: int = 1) -> None:
        super().__init__()
        if codewords < 2:
            raise SettingError(f"codewords={codewords}", expected="at least 2")
        if parts < 1 or code % parts:
            raise SettingError(f"parts={parts} of a code of {code}", expected="a number that divides the code")
        self.point = linear(hidden, code, generator)
        table = torch.empty(parts, codewords, code // parts).normal_(generator=generator)
        self.register_buffer("table", table)
        self.register_buffer("used", torch.ones(parts, codewords))
        self.register_buffer("sums", table.clone())
        self.register_buffer("begun", torch.zeros((), dtype=torch.bool))
        # Reading the buffer would need a synchronisation with the device.
        self._seen_to_begin = False

    def forward(self, hidden: Tensor, *, generator: Generator | None = None, samples: int = 1) -> Code:
        """``sample`` repeats ``point``. The table is updated in training only, and takes initial and replacement
        codewords from the batch only if a generator is given.

        Args:
            hidden: output of the encoder.
            generator: random generator; None makes the code deterministic.
            samples: number of samples of each code.

        Returns:
            The code; without a generator, its samples equal its point.
        """
        vectors = before(self.point, hidden)
        parts = vectors.unflatten(-1, (len(self.table), -1))
        rows = parts.detach().flatten(0, -3).transpose(0, 1)
        if self.training and generator is not None and not self._seen_to_begin:
            if not self.begun:
                self._redraw(rows, torch.ones_like(self.used, dtype=torch.bool), generator)
                self.begun.fill_(True)
            self._seen_to_begin = True
        chosen = nearest(rows, self.table)
        codewords = self._look_up(chosen).view_as(parts).flatten(-2)
        if self.training:
            self._follow(rows, chosen, generator)
        distance = (vectors - codewords).square().flatten(1).sum(1)
        point = vectors + (codewords - vectors).detach()
        notes = {"codewords": chosen.T.reshape(parts.shape[:-1]), "distance": distance}
        return Code(point, point.repeat_interleave(samples, 0) if samples > 1 else point, notes=notes)

    def codewords_to_code(self, codewords: Int64[Tensor, "batch parts"]) -> Float[Tensor, "batch code"]:
        """The code of these codewords."""
        return self._look_up(codewords.T).flatten(1)

    def _look_up(self, chosen: Int64[Tensor, "parts rows"]) -> Float[Tensor, "rows parts part"]:
        return self.table[torch.arange(len(self.table), device=chosen.device)[:, None], chosen].transpose(0, 1)

    @torch.no_grad()
    def _follow(
        self, rows: Float[Tensor, "parts rows part"], chosen: Int64[Tensor, "parts rows"], generator: Generator | None
    ) -> None:
        """Move codewords towards the mean of the vectors assigned to them."""
        counts = torch.zeros_like(self.used).scatter_add_(1, chosen, torch.ones_like(chosen, dtype=self.used.dtype))
        sums = torch.zeros_like(self.sums).scatter_add_(1, chosen[..., None].expand_as(rows), rows.to(self.sums))
        self.used.lerp_(counts, 1 - self.decay)
        self.sums.lerp_(sums, 1 - self.decay)
        self.table.copy_(self.sums / (self.used + SMOOTHING)[..., None])
        if generator is not None:
            average = rows.shape[1] / self.table.shape[1]
            self._redraw(rows, self.used < self.starved * average, generator)

    @torch.no_grad()
    def _redraw(self, rows: Float[Tensor, "parts rows part"], poor: Tensor, generator: Generator) -> None:
        """Replace codewords by vectors of the batch, with an average usage count."""
        draws = torch.randint(rows.shape[1], poor.shape, generator=generator, device=rows.device)
        drawn = rows.gather(1, draws[..., None].expand(*draws.shape, rows.shape[2])).to(self.table)
        average = rows.shape[1] / self.table.shape[1]
        self.table.copy_(torch.where(poor[..., None], drawn, self.table))
        self.used.masked_fill_(poor, average)
        self.sums.copy_(torch.where(poor[..., None], average * drawn, self.sums))


def nearest(
    rows: Float[Tensor, "parts rows part"], table: Float[Tensor, "parts codewords part"]
) -> Int64[Tensor, "parts rows"]:
    """The codeword at the smallest distance; the first of ties."""
    # ‖r‖² is the same for every codeword.
    return (table.square().sum(2)[:, None] - 2 * rows @ table.transpose(1, 2)).argmin(2)
