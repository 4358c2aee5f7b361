"""Batches of stored token rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from isthmus.batch import Batch, TokenPlaces, TokenRows
from isthmus.errors import InputError, SettingError
from isthmus.machine.devices import sent
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
        """The number of tokens of each row, including its end, on the CPU."""
        return torch.from_numpy(np.diff(self.store.offsets))

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
        known = (lengths, np.flatnonzero(mask)) if lengths.min(initial=1) > 0 else None
        tokens = self._sent(ids, mask, known)
        return Batch(sent(rows, self.device), tokens, tokens)

    def _sent(
        self, ids: Int64[np.ndarray, "batch steps"], mask: Bool[np.ndarray, "batch steps"], known: Any
    ) -> TokenRows:
        """Token rows on the device, with known lengths and positions of tokens."""
        if self.device.type == "cpu":
            copies = [torch.from_numpy(one) for one in (ids, mask, *(known or ()))]
        else:
            # One asynchronous copy for everything.
            parts = [torch.from_numpy(one).flatten() for one in (ids, mask, *(known or ()))]
            moved = sent(torch.cat([part.long() for part in parts]), self.device).split([len(part) for part in parts])
            copies = [moved[0].view(ids.shape), moved[1].view(ids.shape).bool(), *moved[2:]]
        places = TokenPlaces(copies[2], bool(mask.all()), copies[3]) if known else None
        return TokenRows(copies[0], copies[1], places=places)
