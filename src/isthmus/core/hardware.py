"""What the machine does in hardware."""

from __future__ import annotations

import torch


def multiplies_bf16(device: str) -> bool:
    """Whether products in bf16 are faster than in fp32: AMX on CPU, compute capability 8 and later on CUDA."""
    if device == "cuda":
        return torch.cuda.get_device_capability()[0] >= 8
    return bool(torch.cpu.get_capabilities().get("amx_bf16", False))
