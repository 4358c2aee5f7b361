"""Devices by name: which ones exist, how much memory they have, and which block sizes suit them."""

from __future__ import annotations

import logging
from functools import cache

import torch
from torch import nn

from isthmus.errors import SettingError
from isthmus.machine import processes
from isthmus.reprs import one_line

CACHED_BYTES, FILLING_BYTES = 16 << 20, 256 << 20
"""Bytes of scores computed at a time: on a CPU what fits into the cache, elsewhere what keeps a device busy."""

LOOKED_AT = 64 << 20
"""Smaller models are moved without checking the free memory of the device."""

logger = logging.getLogger(__name__)


def named_device(name: str) -> torch.device:
    """The device that a setting names: ``auto`` is CUDA if available, else the CPU; otherwise a device type of torch,
    optionally with a number, such as ``cuda:1``.

    Raises:
        SettingError: not the name of a device, or a device that this machine does not have.
    """
    lost = processes.cuda_is_lost()
    if isinstance(name, str) and name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() and not lost else "cpu")
    device = parsed_device(name)
    if device.type == "cuda" and lost:
        raise SettingError(
            f"device {name} in a process that was forked from one that used it",
            expected="a process of its own",
            remedy="start it by spawn or forkserver, or use device cpu",
        )
    if device.type == "cpu":
        return torch.device("cpu")
    there = _devices_of(device.type)
    if (device.index or 0) >= there:
        found = f"{there} of its kind" if there else "none of its kind"
        raise SettingError(
            f"device {name}, and {found} here",
            expected="a device that this machine has",
            remedy="use device auto or cpu",
        )
    return device


def parsed_device(name: str) -> torch.device:
    """Parse the name of a device, whether this machine has it or not.

    Raises:
        SettingError: not the name of a device.
    """
    try:
        if isinstance(name, str):
            return torch.device(name)
    except (RuntimeError, TypeError, ValueError):
        pass
    expected = "auto, cpu, cuda, one of several such as cuda:1, or mps"
    raise SettingError(f"device {one_line(repr(name))}", expected=expected)


def _devices_of(kind: str) -> int:
    """The number of devices of a type that torch can use."""
    try:
        module = torch.get_device_module(kind)
    except RuntimeError:
        return 0
    return int(module.device_count()) if getattr(module, "is_available", lambda: False)() else 0


def sent(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The tensor on a device; a copy from the CPU is asynchronous."""
    if tensor.device == device or tensor.device.type != "cpu" or device.type == "cpu":
        return tensor.to(device)
    return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)


def device_of(model: nn.Module) -> torch.device:
    """The device of a model: that of its first parameter or buffer, or the CPU if it has none."""
    first = next(model.parameters(), next(model.buffers(), None))
    return torch.device("cpu") if first is None else first.device


def block_bytes(device: torch.device) -> int:
    """A suitable number of bytes for a block of scores on a device."""
    return CACHED_BYTES if device.type == "cpu" else FILLING_BYTES


def free_bytes(device: torch.device) -> int | None:
    """Free memory of a device in bytes; None for the CPU, and if PyTorch cannot tell."""
    if device.type == "cpu":
        return None
    module = torch.get_device_module(device.type)
    if device.type == "mps":
        return int(module.recommended_max_memory() - module.current_allocated_memory())
    look = getattr(module, "mem_get_info", None)
    if look is None:
        return None
    # Memory that PyTorch has reserved but does not use is available for its tensors.
    held = [getattr(module, name, None) for name in ("memory_reserved", "memory_allocated")]
    spare = held[0](device) - held[1](device) if held[0] is not None and held[1] is not None else 0
    return int(look(device)[0] + spare)


def has_room(model: nn.Module, device: torch.device) -> bool:
    """Whether a model fits on a device, with an eighth of its size left for results."""
    need = bytes_to_move(model, device)
    free = free_bytes(device) if need >= LOOKED_AT else None
    return free is None or need + need // 8 <= free


def bytes_to_move(model: nn.Module, device: torch.device) -> int:
    """Bytes of the parameters and buffers of a model that are not yet on a device."""
    tensors = (*model.parameters(), *model.buffers())
    return sum(tensor.nbytes for tensor in tensors if tensor.device.type != device.type)


def moved(model: nn.Module, device: torch.device) -> torch.device:
    """Move a model to a device in place, or to the CPU if the device has too little memory, and say so in the log.

    Returns:
        The device of the model afterwards.
    """
    if has_room(model, device):
        try:
            model.to(device)
            return device
        except torch.OutOfMemoryError:
            pass
    free = free_bytes(device)
    logger.warning(
        "the model takes %.2f GB more, and %s has %.2f GB free: it stays on the CPU and answers there",
        bytes_to_move(model, device) / 1e9, device, (free or 0) / 1e9,
    )  # fmt: skip
    model.to("cpu")
    return torch.device("cpu")


def put(model: nn.Module, name: str) -> None:
    """Move a model in place to the device that a setting names; ``auto`` takes the CPU where there is no room.

    Args:
        model: the model.
        name: as for ``named_device``.

    Raises:
        SettingError: a device that does not exist, or a named one with too little memory.
    """
    device = named_device(name)
    if name != "auto" and not has_room(model, device):
        need, free = bytes_to_move(model, device), free_bytes(device) or 0
        raise SettingError(
            f"a model of {need / 1e9:,.2f} GB for device {name}, which has {free / 1e9:,.2f} GB free",
            expected="memory for the model and an eighth of its size beside it",
            remedy="use device cpu",
        )
    moved(model, device)


@cache
def has_float64(device: torch.device) -> bool:
    """Whether a device supports double precision; MPS does not."""
    try:
        torch.zeros(1, dtype=torch.float64, device=device)
    except (TypeError, RuntimeError):
        return False
    return True


@cache
def has_sparse(device: torch.device) -> bool:
    """Whether a device supports sparse tensors."""
    try:
        places, values = torch.zeros(1, 1, dtype=torch.int64, device=device), torch.ones(1, 2, device=device)
        torch.sparse_coo_tensor(places, values, (2, 2), check_invariants=False).coalesce()
    except (RuntimeError, TypeError):
        return False
    return True


def double(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor in double precision, on its device or, if that does not support it, on the CPU."""
    return where_double(tensor).double()


def where_double(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor unchanged, or on the CPU if its device does not support double precision."""
    return tensor if has_float64(tensor.device) else tensor.cpu()


def check_able(device: torch.device, what: str, *, float64: bool = False, sparse: bool = False) -> None:
    """Check that a device supports what a model needs.

    Args:
        device: device for training.
        what: name of the model, for the message.
        float64: whether double precision is needed.
        sparse: whether sparse tensors are needed.

    Raises:
        SettingError: the device does not support one of them.
    """
    lacks = [
        *(["double precision"] if float64 and not has_float64(device) else []),
        *(["sparse tensors"] if sparse and not has_sparse(device) else []),
    ]
    if lacks:
        raise SettingError(
            f"{what} on device {device.type}, which has no {' and no '.join(lacks)}",
            expected="a device that has them, such as cpu or cuda",
            remedy="use device cpu",
        )
