"""Rebuilds a saved model from the builder's keywords and the tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Generator, Tensor, nn

from isthmus.batch import Signal
from isthmus.bundle.tensors import load_state
from isthmus.errors import BundleError
from isthmus.models.recipes.counting import counted_parts
from isthmus.protocols import Builder


def rebuild(builder: Builder, signal: Signal, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> nn.Module:
    """Build a model and copy the saved tensors into it.

    It is first built without allocating memory, so that settings that do not match the tensors need none.

    Args:
        builder: the builder.
        signal: sizes of the data.
        settings: keywords of the builder.
        tensors: the saved state.

    Returns:
        The model on the CPU, in evaluation mode.

    Raises:
        BundleError: the names or shapes of the tensors do not match the settings.
    """
    most, fitting = PARTS + PARTS_A_TENSOR * len(tensors), f"a model of {len(tensors):,} tensors"
    with torch.device("meta"), counted_parts(most, BundleError, fitting):
        sketch = builder(signal, generator=Generator(), **settings).model
    _check_shapes(sketch, tensors)
    # The initial weights are overwritten; they come from a generator because nothing else may be random.
    model = builder(signal, generator=Generator().manual_seed(0), **settings).model
    load_state(model, tensors)
    model.eval()
    return model


PARTS, PARTS_A_TENSOR = 1_000, 20
"""Modules and parameters of a model without tensors, and for each tensor: far more than any builder makes."""


def _check_shapes(sketch: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    wanted: dict[str, list[int]] = {}
    seen: set[int] = set()
    for name, tensor in sketch.state_dict(keep_vars=True).items():
        # Tied parameters are one object with several names, saved under the first one.
        if id(tensor) not in seen:
            seen.add(id(tensor))
            wanted[name] = list(tensor.shape)
    for name in sorted({*wanted, *tensors}):
        given = list(tensors[name].shape) if name in tensors else None
        if given != wanted.get(name):
            raise BundleError(
                f"{name} has shape {given}" if given is not None else f"{name} is missing",
                expected=f"{wanted[name]}, as the settings say" if name in wanted else "no such tensor",
            )


def can_widen(sketch: nn.Module, learned: Mapping[str, Tensor], before: int, after: int) -> bool:
    """Whether ``widened`` can handle every tensor.

    It can if names are the same and each axis either keeps its length or changes from ``before`` to ``after``, the
    numbers of columns: columns come first along an axis and new ones last. Anything else (an additional row for a mask,
    a table of pairs) has another order, which must not be guessed.

    Args:
        sketch: the wider model, possibly on the meta device.
        learned: tensors of the narrower model, as returned by ``isthmus.bundle.tensors.state_of``.
        before: number of columns of the narrower model.
        after: number of columns of the wider one.
    """
    wanted, seen = {}, set()
    for name, tensor in sketch.state_dict(keep_vars=True).items():
        # Tied parameters are one object with several names, stored under the first one.
        if id(tensor) not in seen:
            seen.add(id(tensor))
            wanted[name] = tensor
    return wanted.keys() == learned.keys() and all(
        _grows(learned[name], tensor, before, after) for name, tensor in wanted.items()
    )


def widened(fresh: Mapping[str, Tensor], learned: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors with the shapes of ``fresh``: the learned numbers come first along every axis, the rest is as in
    ``fresh``.

    Args:
        fresh: initial tensors of the wider model, as returned by ``isthmus.bundle.tensors.state_of``.
        learned: tensors of the narrower model, for which ``can_widen`` is true.
    """
    state = {}
    for name, tensor in fresh.items():
        state[name] = tensor.clone()
        state[name][tuple(slice(length) for length in learned[name].shape)] = learned[name]
    return state


def _grows(old: Tensor, new: Tensor, before: int, after: int) -> bool:
    if old.dtype != new.dtype or old.ndim != new.ndim:
        return False
    lengths = zip(old.shape, new.shape, strict=True)
    return all(one == other or (one, other) == (before, after) for one, other in lengths)
