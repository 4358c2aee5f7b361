"""The weights of the best epoch: on disk, or on the accelerator until they are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from isthmus.bundle.tensors import load_state, own_tensors, state_of
from isthmus.training.checkpoint import Store

TIMES_AS_MUCH = 2
"""A copy is kept on the device if this many would fit in its free memory, because training needs memory too."""


@dataclass
class BestWeights:
    """Keeps the weights of one epoch.

    On a CPU they are written at once. On an accelerator they are copied there, which is fast, and only written when a
    checkpoint needs them.

    Attributes:
        store: the store to which they are written.
    """

    store: Store
    _epoch: int | None = None
    _copies: dict[str, Tensor] = field(default_factory=dict)
    _written: bool = True

    def keep(self, epoch: int, model: nn.Module) -> None:
        """The weights of ``model`` now are those of the best epoch so far.

        Raises:
            OSError: they could not be written; the previous ones are still kept.
        """
        tensors = own_tensors(model)
        if self._copied(tensors):
            self._epoch, self._written = epoch, False
            return
        self.store.keep_best(epoch, state_of(model))
        self._epoch, self._copies = None, {}

    def write(self) -> None:
        """Write weights that are only on the device, because a checkpoint is about to name them."""
        if self._epoch is not None and not self._written:
            tensors = {name: tensor.cpu().contiguous() for name, tensor in self._copies.items()}
            self.store.keep_best(self._epoch, tensors)
            self._written = True

    def load(self, epoch: int, model: nn.Module) -> None:
        """Load the weights of that epoch into the model.

        Raises:
            BundleError: they are missing or were altered.
        """
        if epoch == self._epoch:
            load_state(model, self._copies)
        else:
            self.store.load_best(epoch, model)

    def _copied(self, tensors: Mapping[str, Tensor]) -> bool:
        """Copy the weights on the device, and return whether that worked. The previous copy is overwritten, so that
        there are never two."""
        if all(tensor.device.type == "cpu" for tensor in tensors.values()):
            return False
        if self._copies.keys() != tensors.keys():
            if not _has_room(tensors):
                return False
            try:
                self._copies = {name: tensor.clone() for name, tensor in tensors.items()}
            except RuntimeError:
                # A device whose free memory is unknown.
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
