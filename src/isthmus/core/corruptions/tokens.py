"""Corruptions of token rows, in training only. The targets of the likelihood stay clean and complete."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor, nn

from isthmus.batch import Tensors, TokenPlaces, TokenRows
from isthmus.errors import SettingError
from isthmus.protocols import Hook, Model

PADDING = 0


@dataclass(frozen=True)
class TokenDeletion:
    """Deletes each token with probability ``rate``: 0.6 deletes 60 % of them (Wang, Reimers & Gurevych, EMNLP
    Findings 2021). The remaining tokens close up, so that the encoder does not see where tokens are missing.

    A row keeps at least one random token in addition to the end.

    Args:
        rate: share of the tokens that are deleted.
        keep_end: whether the last token of a row, its end, always stays.
    """

    rate: float = 0.6
    keep_end: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise SettingError(f"deletion of {self.rate} of the tokens", expected="0 <= rate < 1")

    def __call__(self, inputs: Tensors, generator: Generator) -> Tensors:
        """Shorter rows, padded on the right with id 0 to the length of the longest.

        Raises:
            SettingError: inputs that are not token rows, or that word dropout has marked, since positions are lost.
        """
        rows = _rows(inputs, "deletion of tokens")
        if rows.unseen is not None:
            raise SettingError("deletion after word dropout", expected="one of them")
        content, steps = rows.mask, torch.arange(rows.ids.shape[1], device=rows.ids.device)
        if self.keep_end:
            # A row with only an end token has no content, and keeps the end.
            content = content & (steps < rows.mask.sum(1, keepdim=True) - 1)
        uniform = torch.empty(rows.ids.shape, device=rows.ids.device).uniform_(generator=generator)
        highest = uniform.masked_fill(~content, -1.0).argmax(1, keepdim=True)
        kept = rows.mask & ((uniform >= self.rate) | ~content | (steps == highest))
        order = torch.argsort(~kept, dim=1, stable=True)
        counts = kept.sum(1, keepdim=True)
        longest = rows.ids.shape[1]
        if rows.device.type == "cpu":
            # On an accelerator this would need a synchronisation.
            longest = int(counts.max()) if len(counts) else 0
        mask = steps[:longest] < counts
        ids = rows.ids.gather(1, order)[:, :longest].masked_fill(~mask, PADDING)
        return TokenRows(ids, mask, places=None if rows.places is None else TokenPlaces(counts[:, 0]))


class WordDropout(nn.Module):
    """Hides tokens from the decoder, so that it has to use the code (Bowman et al., CoNLL 2016), at a rate that falls
    linearly from ``rate`` to 0 over ``epochs``. The encoder sees every token.

    The rate falls because a constant rate prevents fluent text. ``hook`` counts the completed epochs in a buffer, which
    is saved in checkpoints.

    Args:
        rate: share of the tokens hidden in the first epoch.
        epochs: number of epochs until nothing is hidden.
    """

    def __init__(self, rate: float, epochs: int) -> None:
        super().__init__()
        if not 0 <= rate <= 1:
            raise SettingError(f"word dropout of {rate}", expected="0 <= rate <= 1")
        if epochs < 1:
            raise SettingError(f"word dropout over {epochs} epochs", expected="at least 1")
        self.first, self.epochs = rate, epochs
        self.over: Tensor
        self.register_buffer("over", torch.zeros((), dtype=torch.int64))

    @property
    def rate(self) -> Tensor:
        """The current share of hidden tokens, a scalar on the buffer's device, so that no synchronisation is needed."""
        return self.first * (1 - self.over / self.epochs).clamp(min=0.0)

    def _counted(self, model: Model) -> None:
        self.count()

    @property
    def hook(self) -> Hook:
        """A training hook that counts the epochs."""
        return Hook("epoch", self._counted)

    def forward(self, inputs: Tensors, generator: Generator) -> Tensors:
        """The same rows with ``unseen`` marked.

        Raises:
            SettingError: inputs that are not token rows.
        """
        rows = _rows(inputs, "word dropout")
        uniform = torch.empty(rows.ids.shape, device=rows.ids.device).uniform_(generator=generator)
        return replace(rows, unseen=rows.mask & (uniform < self.rate))

    def count(self) -> None:
        """Count one completed epoch."""
        self.over += 1


def _rows(inputs: Tensors, noise: str) -> TokenRows:
    if not isinstance(inputs, TokenRows):
        raise SettingError(f"{noise} of {type(inputs).__name__}", expected="token rows")
    return inputs
