"""A model from what was saved: the builder's keywords and the tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Generator, Tensor, nn

from isthmus.batch import Signal
from isthmus.errors import BundleError
from isthmus.protocols import Builder
from isthmus.state import load_state


def rebuild(builder: Builder, signal: Signal, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> nn.Module:
    """Build anew and copy the tensors in.

    The model is first built without memory, so that settings which do not fit the tensors cost none.

    Raises:
        BundleError: tensors of other names or shapes than these settings make.
    """
    with torch.device("meta"):
        sketch = builder(signal, generator=Generator(), **settings).model.state_dict()
    for name, tensor in tensors.items():
        if name not in sketch or sketch[name].shape != tensor.shape:
            wanted = list(sketch[name].shape) if name in sketch else "no such tensor"
            raise BundleError(f"{name} has shape {list(tensor.shape)}", expected=f"{wanted}, as the settings say")
    # The first weights are overwritten; they come from a generator because nothing else may be random.
    model = builder(signal, generator=Generator().manual_seed(0), **settings).model
    load_state(model, tensors)
    model.eval()
    return model
