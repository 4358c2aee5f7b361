"""Encoders whose vector of a text is the normalised sum of its token vectors: no attention, no positions."""

from __future__ import annotations

from itertools import chain

import numpy as np
import torch
from jaxtyping import Float, Int8, Int64
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from isthmus.batch import Bags, Tensors, TokenRows, require_tokens
from isthmus.core.encoders.bag import BagEncoder
from isthmus.core.ops.bags import bag_sum, weighted_sums
from isthmus_text.static.teacher import Teacher

LARGEST = 127
"""Largest value of a stored number."""


class StaticEncoder(nn.Module):
    """A ``BagEncoder`` of tokens without a bias. The frequency weight of a token is the length of its vector.

    Args:
        vocabulary: number of token ids.
        code: width of the vectors.
        end: id of the token at the end of every row, which does not count.
        teacher: what its vectors are trained towards; it is not a part of the model.
    """

    def __init__(
        self, vocabulary: int, code: int, *, generator: Generator, end: int, teacher: Teacher | None = None
    ) -> None:
        super().__init__()
        self.bags = BagEncoder(vocabulary, (code,), generator=generator, sparse_gradient=True)
        nn.init.zeros_(self.bags.bias).requires_grad_(False)
        self.end, self.teacher = end, teacher

    def enter(self, inputs: Tensors) -> Float[Tensor, "batch entered"]:
        """The sum of the token vectors of each row."""
        return self.bags.enter(bags_of(require_tokens(inputs, "a static encoder"), self.end))

    def trunk(self, entered: Float[Tensor, "batch entered"], inputs: Tensors | None) -> Float[Tensor, "batch code"]:
        """The sums, normalised to length 1; a row without tokens stays 0."""
        return F.normalize(self.bags.trunk(entered, inputs).float(), dim=1)

    @torch.no_grad()
    def start_from(self, vectors: Float[Tensor, "vocabulary code"]) -> None:
        """Set the token vectors."""
        self.bags.table.copy_(vectors)

    def packed(self) -> PackedEncoder:
        """The same encoder with rounded vectors."""
        made = PackedEncoder(*self.bags.table.shape, end=self.end).to(self.bags.table.device)
        made.fill(self.bags.table.detach())
        return made


class PackedEncoder(nn.Module):
    """A trained ``StaticEncoder`` as bundles keep it: 1 byte for each number, and one scale for each token.

    Args:
        vocabulary: number of token ids.
        code: width of the vectors.
        end: id of the token at the end of every row.
    """

    def __init__(self, vocabulary: int, code: int, *, end: int) -> None:
        super().__init__()
        self.rounded: Int8[Tensor, "vocabulary code"]
        self.scales: Float[Tensor, " vocabulary"]
        self.register_buffer("rounded", torch.zeros(vocabulary, code, dtype=torch.int8))
        self.register_buffer("scales", torch.zeros(vocabulary))
        self.end = end
        self._table: Tensor | None = None

    def fill(self, table: Float[Tensor, "vocabulary code"]) -> None:
        """Round these vectors: the largest number of each becomes ``LARGEST``."""
        scales = table.abs().amax(1) / LARGEST
        self.rounded = (table / scales.clamp(min=torch.finfo(scales.dtype).tiny)[:, None]).round().to(torch.int8)
        self.scales, self._table = scales, None

    def words(self) -> Float[Tensor, "vocabulary code"]:
        """The vector of each token, fp32; 4 times as large as what is stored, and made once."""
        if self._table is None or self._table.device != self.rounded.device:
            self._table = self.rounded.float() * self.scales[:, None]
        return self._table

    def enter(self, inputs: Tensors) -> Float[Tensor, "batch entered"]:
        """The sum of the token vectors of each row."""
        return bag_sum(self.words(), bags_of(require_tokens(inputs, "a static encoder"), self.end))

    def trunk(self, entered: Float[Tensor, "batch entered"], inputs: Tensors | None) -> Float[Tensor, "batch code"]:
        """The sums, normalised to length 1; a row without tokens stays 0."""
        return F.normalize(entered, dim=1)

    @torch.no_grad()
    def codes_of_ids(self, ids: list[list[int]]) -> Float[Tensor, "rows code"]:
        """The vectors of rows of ids, which end with ``end``, all at once and without padding.

        Args:
            ids: the rows; every id is below the size of the vocabulary.

        Returns:
            One vector for each row, in order, as ``trunk`` has them.
        """
        offsets = torch.from_numpy(np.cumsum([0, *map(len, ids)], dtype=np.int64))
        joined = torch.from_numpy(np.fromiter(chain.from_iterable(ids), np.int64, count=int(offsets[-1])))
        device = self.rounded.device
        joined, offsets = joined.to(device), offsets.to(device)
        return F.normalize(weighted_sums(self.words(), joined, offsets, (joined != self.end).float()), dim=1)


def bags_of(rows: TokenRows, end: int) -> Bags:
    """The tokens of each row without an order; the end has weight 0."""
    ids: Int64[Tensor, " tokens"] = rows.ids.flatten()[rows.real()]
    offsets = F.pad(rows.mask.sum(1).cumsum(0), (1, 0))
    return Bags(ids, offsets, (ids != end).float())
