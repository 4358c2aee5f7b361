"""The weights of the best epoch: on the disk, or beside a model on an accelerator until they are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from isthmus.bundle.tensors import load_state, own_tensors, state_of
from isthmus.training.checkpoint import Store

TIMES_AS_MUCH = 2
"""A copy is kept on a device that has room for so many: training needs memory too."""


@dataclass
class BestWeights:
    """Keeps the weights of one epoch.

    On a CPU they are written at once. A copy on an accelerator takes a moment there; it is written once, when a
    checkpoint needs it.

    Attributes:
        store: where they are written.
    """

    store: Store
    _epoch: int | None = None
    _copies: dict[str, Tensor] = field(default_factory=dict)
    _written: bool = True

    def keep(self, epoch: int, model: nn.Module) -> None:
        """The weights of ``model`` now are those of the best epoch so far.

        Raises:
            OSError: they could not be written; those of before are still kept.
        """
        tensors = own_tensors(model)
        if self._copied(tensors):
            self._epoch, self._written = epoch, False
            return
        self.store.keep_best(epoch, state_of(model))
        self._epoch, self._copies = None, {}

    def write(self) -> None:
        """Write what is only on the device, because a checkpoint is about to name it."""
        if self._epoch is not None and not self._written:
            tensors = {name: tensor.cpu().contiguous() for name, tensor in self._copies.items()}
            self.store.keep_best(self._epoch, tensors)
            self._written = True

    def load(self, epoch: int, model: nn.Module) -> None:
        """Put the weights of that epoch into the model.

        Raises:
            BundleError: they are gone or were altered.
        """
        if epoch == self._epoch:
            load_state(model, self._copies)
        else:
            self.store.load_best(epoch, model)

    def _copied(self, tensors: Mapping[str, Tensor]) -> bool:
        """Whether there is a copy now; the one of before is overwritten, so that memory for two is never needed."""
        if all(tensor.device.type == "cpu" for tensor in tensors.values()):
            return False
        if self._copies.keys() != tensors.keys():
            if not _has_room(tensors):
                return False
            try:
                self._copies = {name: tensor.clone() for name, tensor in tensors.items()}
            except RuntimeError:
                # Memory of a device about which nothing is known.
                self._copies = {}
                return False
            return True
        for name, tensor in tensors.items():
            self._copies[name].copy_(tensor)
        return True


def _has_room(tensors: Mapping[str, Tensor]) -> bool:
    on_cuda = [tensor for tensor in tensors.values() if tensor.is_cuda]
    if not on_cuda:
        return True
    free, _ = torch.cuda.mem_get_info(on_cuda[0].device)
    return TIMES_AS_MUCH * sum(tensor.nbytes for tensor in on_cuda) <= free
