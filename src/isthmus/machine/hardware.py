"""What the machine does in hardware."""

from __future__ import annotations

import os
from pathlib import Path


def multiplies_bf16(device: str) -> bool:
    """Whether products in bf16 are faster than in fp32: on a CPU with AMX or AVX512-BF16 (AMD from Zen 4 on), on CUDA
    from compute capability 8 on. Of other kinds nothing is known, and fp32 is used."""
    # Whoever asks for the memory alone needs no torch.
    import torch

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
