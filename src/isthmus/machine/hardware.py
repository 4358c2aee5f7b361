"""What the machine does in hardware."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from isthmus.errors import SettingError
from isthmus.machine import bf16_trial

CHOICE = "ISTHMUS_BF16"
"""Environment variable that overrules what is known or measured of the processor: ``on`` or ``off``."""

LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")
"""Environment variables that keep kernels from instructions that the processor has."""

CPUINFO, MEMINFO = Path("/proc/cpuinfo"), Path("/proc/meminfo")

DESCRIBED = (
    "vendor_id", "cpu family", "model", "model name", "stepping", "CPU implementer", "CPU architecture", "CPU variant",
    "CPU part", "CPU revision", "cpu", "machine",
)  # fmt: skip
"""Fields of ``/proc/cpuinfo`` that tell kinds of processors apart, on x86, Arm and Power."""


def multiplies_bf16(device: str) -> bool:
    """Whether products in bf16 are faster than in fp32 on a kind of device.

    On CUDA they are from compute capability 8 on. A CPU with AMX multiplies bf16 several times as fast. Instructions of
    another name gain on some processors and lose on others (AVX512-BF16 gains on Zen 4, and loses on Intel processors
    without AMX), so there a small product is timed in both, once for each kind of processor and release of PyTorch. The
    outcome is kept in the user's cache, since a seed promises the same bits in every run. Where nothing can be kept,
    nothing is timed, and processors that name instructions for bf16 are taken to gain. ``ISTHMUS_BF16=on`` or ``off``
    decides for the CPU.

    Args:
        device: a kind of device, such as ``cpu``.

    Returns:
        False also for kinds of devices of which nothing is known.

    Raises:
        SettingError: another value of the environment variable.
    """
    # Whoever asks for the memory alone needs no torch.
    import torch

    if device == "cuda":
        return torch.cuda.get_device_capability()[0] >= 8
    if device != "cpu":
        return False
    wished = _wished()
    if wished is not None:
        return wished
    has = torch.cpu.get_capabilities()
    limits = {name: os.environ[name] for name in LIMITS if os.environ.get(name)}
    plain = not set(limits) - {"ATEN_CPU_CAPABILITY"} and _onednn()
    if plain and has.get("amx_bf16", False):
        return True
    key = {
        "processor": dict(_described()),
        "has": sorted(name for name, value in has.items() if value is True),
        "limits": limits,
        "onednn": _onednn(),
        "torch": torch.__version__,
    }
    outcome = bf16_trial.outcome(key)
    if outcome is not None:
        return outcome
    return plain and any(has.get(name, False) for name in ("avx512_bf16", "bf16"))


def instructions() -> str:
    """The instructions that decide how fast this processor multiplies: ``amx``, ``avx512-bf16``, ``avx512``, ``avx2``,
    ``arm-bf16``, ``arm`` or ``other``."""
    import torch

    has = torch.cpu.get_capabilities()
    names = {"amx_bf16": "amx", "avx512_bf16": "avx512-bf16", "avx512_f": "avx512", "avx2": "avx2", "bf16": "arm-bf16",
             "neon": "arm"}  # fmt: skip
    return next((told for name, told in names.items() if has.get(name, False)), "other")


def processor() -> str:
    """The model of the processor, as the system names it; on Arm the numbers of its maker and of the part."""
    found = dict(_described())
    arm = " ".join(f"{name} {found[name]}" for name in ("CPU implementer", "CPU part") if name in found)
    return found.get("model name") or found.get("cpu") or arm or platform.processor() or platform.machine()


def _wished() -> bool | None:
    given = os.environ.get(CHOICE, "")
    if given in ("", "on", "off"):
        return None if not given else given == "on"
    raise SettingError(
        f"{CHOICE}={given!r}", expected="on or off", remedy=f"unset {CHOICE} to leave it to the processor"
    )


def _onednn() -> bool:
    """Whether products in bf16 go through oneDNN, as they do by default where torch has it."""
    import torch

    return bool(torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled)


@cache
def _described() -> tuple[tuple[str, str], ...]:
    """The fields of the first processor; elsewhere than on Linux what Python knows."""
    try:
        first = CPUINFO.read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
    except OSError:
        return (("model name", platform.processor()), ("machine", platform.machine()))
    pairs = (line.partition(":") for line in first.splitlines())
    fields: Mapping[str, Any] = {name.strip(): value.strip() for name, _, value in pairs}
    return tuple((name, fields[name]) for name in DESCRIBED if fields.get(name))


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
