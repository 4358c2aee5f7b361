"""The finished model: the whole model in process 0, and a placeholder in the others."""

from __future__ import annotations

from typing import NoReturn

import torch
from torch import Tensor, nn

from isthmus.bundle.tensors import own_tensors
from isthmus.core.placement import cut_tables
from isthmus.distributed.row_shard import spans
from isthmus.distributed.talk import Talk
from isthmus.errors import SettingError


def collected(model: nn.Module, talk: Talk) -> dict[str, Tensor]:
    """All tensors of a model with distributed tables, in process 0; nothing in the others.

    Called by all processes. Process 0 needs memory for the whole model, without gradients or moments.
    """
    cut = cut_tables(model)
    found: dict[str, Tensor] = {}
    for name, tensor in own_tensors(model).items():
        if name not in cut:
            whole: Tensor | None = tensor.cpu()
        else:
            width = cut[name].width
            shape = (width, *tensor.shape[1:])
            whole = torch.empty(shape, dtype=tensor.dtype) if talk.leads else None
            talk.to_leader(tensor, whole, spans(width, talk.size))
        if talk.leads and whole is not None:
            found[name] = whole
    return found


class Elsewhere(nn.Module):
    """Placeholder for a model that is in process 0; every use raises an error that says so.

    Args:
        talk: connection to the other processes.
    """

    nothing: Tensor

    def __init__(self, talk: Talk) -> None:
        super().__init__()
        self.register_buffer("nothing", torch.empty(0))
        self._rank, self._size = talk.rank, talk.size

    elsewhere = True
    """Tells ``save`` that process 0 writes."""

    @property
    def width(self) -> NoReturn:
        """Raises SettingError."""
        raise SettingError(
            f"a question to process {self._rank} of {self._size}, which held some rows of the tables",
            expected="questions to process 0, which has the whole model",
            remedy="ask where RANK is 0, or load the bundle that was saved",
        )
