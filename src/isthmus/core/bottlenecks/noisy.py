"""A deterministic code that the decoder sees with noise while it is trained."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from isthmus import capabilities
from isthmus.capabilities import AffineLayer
from isthmus.errors import SettingError
from isthmus.protocols import Bottleneck, Code

TINY = 1e-12
"""Added to the square of a code's size, so that a code of zeros has a gradient."""


class Noisy(nn.Module):
    """z + ε with ε ~ N(0, (noise · rms(z))² I) in training, where rms(z) = |z| / √d is the size of a dimension of this
    code; z itself otherwise.

    The decoder learns to write from the neighbourhood of a code what belongs to the code, so that points between two
    codes are decoded to texts, too (noise on hidden units: Poole, Sohl-Dickstein & Ganguli, "Analyzing noise in
    autoencoders and deep networks", 2014). In contrast to a variational bottleneck the noise is fixed, and there is no
    rate.

    Args:
        inner: the bottleneck without noise, without a posterior.
        noise: standard deviation relative to the code, 0 or more.

    Raises:
        SettingError: a negative noise.
    """

    def __init__(self, inner: Bottleneck, noise: float) -> None:
        super().__init__()
        if not noise >= 0:
            raise SettingError(f"noise={noise}", expected="0 or more")
        self.inner, self.noise = inner, noise

    def forward(self, hidden: Tensor, *, generator: Generator | None = None, samples: int = 1) -> Code:
        """``sample`` is ``point``, repeated, with noise in training.

        Args:
            hidden: output of the encoder.
            generator: random generator; None makes the code deterministic.
            samples: number of samples of each code.

        Returns:
            The code.
        """
        code = self.inner(hidden, generator=generator, samples=samples)
        if not self.training or generator is None or self.noise == 0:
            return code
        clean = code.sample
        # With its gradient: otherwise codes, and with them shared token vectors, would grow to escape the noise.
        size = clean.square().mean(-1, keepdim=True).add(TINY).sqrt()
        drawn = torch.empty_like(clean).normal_(generator=generator)
        return Code(code.point, clean + self.noise * size * drawn)

    def affine_layers(self) -> tuple[AffineLayer, ...] | None:
        """The layers of the bottleneck without noise."""
        return capabilities.affine_layers(self.inner)
