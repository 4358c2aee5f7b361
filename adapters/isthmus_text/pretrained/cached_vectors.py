"""Embeddings that a frozen encoder computes once, and a source that trains a decoder on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from isthmus.batch import Batch
from isthmus.core.encoders.pretrained import PretrainedEncoder
from isthmus.errors import InputError
from isthmus.protocols import Source
from isthmus.training.batching import by_length


def batch_tokens(device: torch.device) -> int:
    """The number of tokens per batch, including padding.

    On a CPU, the activations of 2,048 tokens fit into a cache: MiniLM encodes texts of mixed lengths 1.3 times as fast
    as in batches of 8,192. Devices with thousands of cores need larger batches.
    """
    return 2048 if device.type == "cpu" else 16384


@torch.inference_mode()
def vectors_of(encoder: PretrainedEncoder, source: Source) -> Float[Tensor, "rows width"]:
    """The embedding of every row of the source, in order, fp32, on the CPU; rows are batched by length."""
    device, found = next(encoder.parameters()).device, torch.empty(len(source), encoder.width)
    there = source.to(device)
    for rows in by_length(source.lengths.cpu(), batch_tokens(device)):
        inputs = there.batch(rows.to(device)).inputs
        found[rows] = encoder.trunk(encoder.enter(inputs), inputs).float().cpu()
    return found


@dataclass(frozen=True, eq=False)
class PairedSource:
    """The inputs of one source with the targets of another, row by row: vectors and the tokens of their texts, or the
    reverse.

    Attributes:
        read: gives the inputs.
        written: gives the targets.
        sized: gives the lengths of the rows, for batching: the source of tokens.

    Raises:
        InputError: sources of different lengths.
    """

    read: Source
    written: Source
    sized: Literal["read", "written"] = "written"

    def __post_init__(self) -> None:
        if len(self.read) != len(self.written):
            raise InputError(
                f"{len(self.read):,} rows to read and {len(self.written):,} to write", expected="one for each other"
            )

    def __len__(self) -> int:
        return len(self.written)

    @property
    def lengths(self) -> Int64[Tensor, " rows"]:
        """The lengths of the rows of tokens."""
        return self.read.lengths if self.sized == "read" else self.written.lengths

    def to(self, device: torch.device) -> PairedSource:
        """The same pairs on another device."""
        return PairedSource(self.read.to(device), self.written.to(device), self.sized)

    def batch(self, rows: Int64[Tensor, " batch"]) -> Batch:
        """The given rows, in the given order."""
        return Batch(rows, self.read.batch(rows).inputs, self.written.batch(rows).targets)
