"""Properties of the processor and the memory."""

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
"""Environment variable that overrides what is known or measured about the processor: ``on`` or ``off``."""

LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")
"""Environment variables that stop kernels from using instructions of the processor."""

CPUINFO, MEMINFO = Path("/proc/cpuinfo"), Path("/proc/meminfo")

DESCRIBED = (
    "vendor_id", "cpu family", "model", "model name", "stepping", "CPU implementer", "CPU architecture", "CPU variant",
    "CPU part", "CPU revision", "cpu", "machine",
)  # fmt: skip
"""Fields of ``/proc/cpuinfo`` that identify the kind of processor, on x86, Arm and Power."""


def multiplies_bf16(device: str) -> bool:
    """Whether matrix products are faster in bf16 than in fp32 on a type of device.

    On CUDA they are from compute capability 8 on. A CPU with AMX multiplies bf16 several times as fast. Other bf16
    instructions are faster on some processors and slower on others (AVX512-BF16 is faster on Zen 4, and slower on Intel
    processors without AMX), so there a small product is timed in both, once for each kind of processor and release of
    PyTorch. The result is kept in the user's cache, since the same seed must give the same bits in every run. If it
    cannot be stored, nothing is timed, and processors with bf16 instructions are assumed to be faster with them.
    ``ISTHMUS_BF16=on`` or ``off`` overrides this for the CPU.

    Args:
        device: type of device, such as ``cpu``.

    Returns:
        Whether bf16 is faster; False for unknown types of devices.

    Raises:
        SettingError: an invalid value of the environment variable.
    """
    # Imported here, because ``available_bytes`` does not need torch.
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


def multiplies_int8() -> bool:
    """Whether the CPU multiplies whole numbers of eight bits fast and adds the products in 32 bits, as AVX512-VNNI and
    AMX do. Older instructions add in 16 bits first, where sums may be cut off, so False where kernels are kept from
    these."""
    import torch

    has = torch.cpu.get_capabilities()
    limited = any(os.environ.get(name) for name in LIMITS)
    return bool(_onednn() and not limited and has.get("avx512_vnni", False))


def instructions() -> str:
    """The instruction set that determines how fast this processor multiplies: ``amx``, ``avx512-bf16``, ``avx512``,
    ``avx2``, ``arm-bf16``, ``arm`` or ``other``."""
    import torch

    has = torch.cpu.get_capabilities()
    names = {"amx_bf16": "amx", "avx512_bf16": "avx512-bf16", "avx512_f": "avx512", "avx2": "avx2", "bf16": "arm-bf16",
             "neon": "arm"}  # fmt: skip
    return next((told for name, told in names.items() if has.get(name, False)), "other")


def processor() -> str:
    """The name of the processor according to the system; on Arm the numbers of the implementer and the part."""
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
    """Whether products in bf16 use oneDNN, as they do by default if torch has it."""
    import torch

    return bool(torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled)


@cache
def _described() -> tuple[tuple[str, str], ...]:
    """The fields of the first processor; outside Linux, what Python's ``platform`` returns."""
    try:
        first = CPUINFO.read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
    except OSError:
        return (("model name", platform.processor()), ("machine", platform.machine()))
    pairs = (line.partition(":") for line in first.splitlines())
    fields: Mapping[str, Any] = {name.strip(): value.strip() for name, _, value in pairs}
    return tuple((name, fields[name]) for name in DESCRIBED if fields.get(name))


def available_bytes() -> int | None:
    """Bytes of memory available without swapping: the estimate of Linux, elsewhere the free pages; None if unknown.

    Memory limits of a container are not taken into account.
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
