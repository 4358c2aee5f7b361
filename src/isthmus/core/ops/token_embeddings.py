"""Token embeddings for encoders and decoders of text: tables, padding, pooling and teacher forcing."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor, nn

from isthmus.batch import Batch, Tensors, TokenRows
from isthmus.core.ops.layers import uniform
from isthmus.errors import SettingError, ValueRangeError

BOUND = 0.1
"""Token vectors start from U(−0.1, 0.1), as in the code of He et al. 2019."""


def token_rows(tensors: Tensors) -> TokenRows:
    """Check that tensors are token rows.

    Raises:
        SettingError: bags or values.
    """
    if not isinstance(tensors, TokenRows):
        raise SettingError(f"{type(tensors).__name__} where token rows are read", expected="a source of tokens")
    return tensors


def real_positions(
    entered: Float[Tensor, "batch steps entered"], inputs: Tensors | None
) -> tuple[Bool[Tensor, "batch steps"], Int64[Tensor, " batch"]]:
    """The mask of real tokens, and their number in each row; without inputs, all positions are real.

    Raises:
        ValueRangeError: a row without tokens, or with padding before a token.
    """
    if isinstance(inputs, TokenRows) and inputs.places is not None:
        return inputs.mask, inputs.places.lengths
    steps = torch.arange(entered.shape[1], device=entered.device)
    mask = torch.ones_like(entered[..., 0], dtype=torch.bool) if inputs is None else token_rows(inputs).mask
    lengths = mask.sum(1)
    if not bool(((mask == (steps < lengths[:, None])) & (lengths[:, None] > 0)).all()):
        raise ValueRangeError(
            "a row of tokens that is empty or has padding before a token",
            expected="at least one token a row, padding behind the last one",
            remedy="pad on the right",
        )
    return mask, lengths


def widened(x: Tensor) -> Tensor:
    """The tensor in fp32 at least, like codes under autocast."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def mean_max(
    states: Float[Tensor, "batch steps hidden"], mask: Bool[Tensor, "batch steps"]
) -> Float[Tensor, "batch twice"]:
    """Concatenated mean and maximum over real positions, in fp32 at least."""
    real, states = mask[..., None], widened(states)
    mean = (states * real).sum(1) / real.sum(1)
    return torch.cat([mean, states.masked_fill(~real, -torch.inf).amax(1)], 1)


class TeacherForcing(nn.Module):
    """The input of a teacher-forced decoder: a learned start vector, then every token except the last.

    Where ``given.inputs.unseen`` is true, a learned vector replaces the token (word dropout, Bowman et al. 2016,
    section 3.1).

    Args:
        vocabulary: number of token ids.
        embedding: width of the vectors.
    """

    def __init__(self, vocabulary: int, embedding: int, *, generator: Generator) -> None:
        super().__init__()
        self.table = uniform(vocabulary, embedding, bound=BOUND, generator=generator)
        self.first = uniform(embedding, bound=BOUND, generator=generator)
        self.stand_in = uniform(embedding, bound=BOUND, generator=generator)

    def forward(self, given: Batch | None, rows: int) -> Float[Tensor, "batch_samples steps embedding"]:
        """One vector for each position of ``given.targets``; position t contains token t − 1.

        Raises:
            SettingError: no targets, a different number of rows, or ``unseen`` of a different shape.
        """
        if given is None:
            raise SettingError(
                "a sequence decoder without targets", expected="a batch", remedy="generate with start and advance"
            )
        targets = token_rows(given.targets)
        if targets.size != rows:
            raise SettingError(f"{rows} codes for {targets.size} rows of targets", expected="one code a row")
        tokens = self.lookup(targets.ids[:, :-1])
        unseen = given.inputs.unseen if isinstance(given.inputs, TokenRows) else None
        if unseen is not None:
            if unseen.shape != targets.ids.shape:
                raise SettingError(
                    f"unseen positions {list(unseen.shape)} for targets {list(targets.ids.shape)}",
                    expected="the same shape",
                    remedy="mark positions of inputs that are as long as the targets",
                )
            tokens = torch.where(unseen[:, :-1, None], self.stand_in, tokens)
        return torch.cat([self.begin(rows)[:, None], tokens], 1)

    def begin(self, rows: int) -> Float[Tensor, "rows embedding"]:
        """The start vector of each row."""
        return self.first.expand(rows, -1)

    def lookup(self, ids: Int64[Tensor, "*positions"]) -> Float[Tensor, "*positions embedding"]:
        """Vectors of the given tokens."""
        return nn.functional.embedding(ids, self.table)
