"""What the machine does in hardware."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from isthmus.errors import SettingError
from isthmus.machine import processes


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
        return torch.device(name)
    except (RuntimeError, TypeError):
        raise SettingError(
            f"device {name!r}", expected="auto, cpu, cuda, one of several such as cuda:1, or mps"
        ) from None


def _devices_of(kind: str) -> int:
    """How many devices of a kind torch can use now."""
    try:
        module = torch.get_device_module(kind)
    except RuntimeError:
        return 0
    return int(module.device_count()) if getattr(module, "is_available", lambda: False)() else 0


def multiplies_bf16(device: str) -> bool:
    """Whether products in bf16 are faster than in fp32: on a CPU with AMX or AVX512-BF16 (AMD from Zen 4 on), on CUDA
    from compute capability 8 on. Of other kinds nothing is known, and fp32 is taken."""
    if device == "cuda":
        return torch.cuda.get_device_capability()[0] >= 8
    if device != "cpu":
        return False
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("amx_bf16", "avx512_bf16"))


MEMINFO = Path("/proc/meminfo")


def available_bytes() -> int | None:
    """Memory that can be had without swapping: what Linux estimates, elsewhere the free pages; None where nobody knows.

    A limit that a container sets on itself is not seen.
    """
    try:
        for line in MEMINFO.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return None
