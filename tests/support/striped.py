"""Grey images of stripes, and noise on them, for denoisers."""

from __future__ import annotations

import torch
from signals import seeded


def stripes(count: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    """Images of stripes three pixels wide, each at its own place and of its own grey."""
    place = torch.randint(0, 6, (count, 1, 1, 1), generator=seeded(seed))
    grey = torch.rand(count, 1, 1, 1, generator=seeded(seed + 1))
    return grey * ((torch.arange(width) + place) // 3 % 2) * torch.ones(1, 1, height, 1)


def noisy(images: torch.Tensor, scale: float = 0.2) -> torch.Tensor:
    return images + scale * torch.randn(images.shape, generator=seeded(9))
