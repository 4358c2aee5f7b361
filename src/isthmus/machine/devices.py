"""Devices by name: what the machine has of them."""

from __future__ import annotations

import torch

from isthmus.errors import SettingError
from isthmus.machine import processes
from isthmus.reprs import one_line


def named_device(name: str) -> torch.device:
    """The device that a setting names: ``auto`` is CUDA where there is one, else the CPU; otherwise a kind of device
    that torch knows, with the number of one of them if there are several, such as ``cuda:1``.

    Raises:
        SettingError: not the name of a device, or one that this machine does not have.
    """
    lost = processes.cuda_is_lost()
    if name == "auto":
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
