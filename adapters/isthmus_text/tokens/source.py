"""Batches of stored token rows."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from isthmus.batch import Batch, TokenRows
from isthmus.errors import InputError, SettingError
from isthmus_text.tokens.store import TokenStore


@dataclass(frozen=True, eq=False)
class TokenSource:
    """Token rows for one device, padded on the right to the longest row of each batch; inputs and targets are the same.

    The ids stay memory-mapped; a batch is gathered on the CPU and copied.

    Attributes:
        store: the rows, including end tokens.
        length: maximum length of a row.
        device: device of the batches.

    Raises:
        SettingError: a length below 1.
        InputError: a row longer than ``length``.
    """

    store: TokenStore
    length: int
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def __post_init__(self) -> None:
        if self.length < 1:
            raise SettingError(f"length={self.length}", expected="at least 1")
        if self.store.max_length > self.length:
            raise InputError(f"a row of {self.store.max_length} tokens", expected=f"at most {self.length}")

    def __len__(self) -> int:
        return len(self.store)

    @property
    def lengths(self) -> Int64[Tensor, " rows"]:
        """The number of tokens of each row, including its end."""
        return torch.from_numpy(np.diff(self.store.offsets)).to(self.device)

    def to(self, device: torch.device) -> TokenSource:
        """The same rows, with batches on another device."""
        return TokenSource(self.store, self.length, device)

    def batch(self, rows: Int64[Tensor, " batch"]) -> Batch:
        """The given rows, in the given order: ids [batch, steps] with padding 0, where steps is the longest of them."""
        places = rows.cpu().numpy()
        starts = self.store.offsets[places]
        lengths = self.store.offsets[places + 1] - starts
        steps = np.arange(int(lengths.max(initial=0)))
        mask = steps < lengths[:, None]
        ids = np.zeros(mask.shape, np.int64)
        ids[mask] = self.store.tokens[(starts[:, None] + steps)[mask]]
        tokens = TokenRows(torch.from_numpy(ids).to(self.device), torch.from_numpy(mask).to(self.device))
        return Batch(rows.to(self.device), tokens, tokens)
