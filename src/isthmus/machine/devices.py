"""Devices by name: what the machine has of them, what fits on one, and how much is computed on it at a time."""

from __future__ import annotations

import logging
from functools import cache

import torch
from torch import nn

from isthmus.errors import SettingError
from isthmus.machine import processes
from isthmus.reprs import one_line

CACHED_BYTES, FILLING_BYTES = 16 << 20, 256 << 20
"""Scores that are computed at a time: on a CPU what stays near the processor, elsewhere what keeps a device busy."""

LOOKED_AT = 64 << 20
"""Models of fewer bytes are moved without asking a device for its free memory."""

logger = logging.getLogger(__name__)


def named_device(name: str) -> torch.device:
    """The device that a setting names: ``auto`` is CUDA where there is one, else the CPU; otherwise a kind of device
    that torch knows, with the number of one of them if there are several, such as ``cuda:1``.

    Raises:
        SettingError: not the name of a device, or one that this machine does not have.
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
    """A device in torch's terms, whether this machine has it or not.

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
    """How many devices of a kind torch can use now."""
    try:
        module = torch.get_device_module(kind)
    except RuntimeError:
        return 0
    return int(module.device_count()) if getattr(module, "is_available", lambda: False)() else 0


def sent(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The tensor on a device, without waiting for the copy to arrive if it comes from the CPU."""
    if tensor.device == device or tensor.device.type != "cpu" or device.type == "cpu":
        return tensor.to(device)
    return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)


def device_of(model: nn.Module) -> torch.device:
    """Where a model is: the device of its first parameter or buffer, and the CPU if it has none."""
    first = next(model.parameters(), next(model.buffers(), None))
    return torch.device("cpu") if first is None else first.device


def block_bytes(device: torch.device) -> int:
    """How many bytes of scores suit a device at a time."""
    return CACHED_BYTES if device.type == "cpu" else FILLING_BYTES


def free_bytes(device: torch.device) -> int | None:
    """The memory of a device that can still be had, bytes; None for the CPU, and where PyTorch cannot tell."""
    if device.type == "cpu":
        return None
    module = torch.get_device_module(device.type)
    if device.type == "mps":
        return int(module.recommended_max_memory() - module.current_allocated_memory())
    look = getattr(module, "mem_get_info", None)
    if look is None:
        return None
    # What PyTorch has set aside and does not use is free for its own tensors.
    held = [getattr(module, name, None) for name in ("memory_reserved", "memory_allocated")]
    spare = held[0](device) - held[1](device) if held[0] is not None and held[1] is not None else 0
    return int(look(device)[0] + spare)


def has_room(model: nn.Module, device: torch.device) -> bool:
    """Whether a model fits on a device, with an eighth of its size left for answers."""
    need = bytes_to_move(model, device)
    free = free_bytes(device) if need >= LOOKED_AT else None
    return free is None or need + need // 8 <= free


def bytes_to_move(model: nn.Module, device: torch.device) -> int:
    """Bytes of the parameters and buffers of a model that are not on a device."""
    tensors = (*model.parameters(), *model.buffers())
    return sum(tensor.nbytes for tensor in tensors if tensor.device.type != device.type)


def moved(model: nn.Module, device: torch.device) -> torch.device:
    """Move a model to a device in place, or to the CPU if the device has too little memory, and say so in the log.

    Returns:
        Where the model is afterwards.
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
        SettingError: a device that is not there, or one by name that has too little memory.
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
    """Whether a device knows double precision, which MPS does not."""
    try:
        torch.zeros(1, dtype=torch.float64, device=device)
    except (TypeError, RuntimeError):
        return False
    return True


@cache
def has_sparse(device: torch.device) -> bool:
    """Whether a device knows sparse tensors."""
    try:
        places, values = torch.zeros(1, 1, dtype=torch.int64, device=device), torch.ones(1, 2, device=device)
        torch.sparse_coo_tensor(places, values, (2, 2), check_invariants=False).coalesce()
    except (RuntimeError, TypeError):
        return False
    return True


def double(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor in double precision: where it is, or on the CPU if its device does not know it."""
    return where_double(tensor).double()


def where_double(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor as it is, or on the CPU if its device does not know double precision."""
    return tensor if has_float64(tensor.device) else tensor.cpu()


def check_able(device: torch.device, what: str, *, float64: bool = False, sparse: bool = False) -> None:
    """Refuse a device that does not know what a model needs.

    Args:
        device: where it would be trained.
        what: the model, for the message.
        float64: whether double precision is needed.
        sparse: whether sparse tensors are needed.

    Raises:
        SettingError: the device does not know one of them.
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
