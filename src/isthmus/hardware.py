"""What the machine does in hardware."""

from __future__ import annotations

import torch


def multiplies_bf16(device: str) -> bool:
    """Whether products in bf16 are faster than in fp32: on a CPU with AMX or AVX512-BF16 (AMD from Zen 4 on), on CUDA
    from compute capability 8 on."""
    if device == "cuda":
        return torch.cuda.get_device_capability()[0] >= 8
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("amx_bf16", "avx512_bf16"))
