"""A Gaussian mixture that is fitted to the codes after training, for sampling if N(0, 1) does not match them."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Generator, Tensor

from isthmus.errors import BundleError, MissingLibraryError, SettingError, ValueRangeError
from isthmus.reprs import brief

logger = logging.getLogger(__name__)

COVARIANCES = ("auto", "full", "diag")

WIDEST = 128
"""Full covariances of wider codes take minutes: each iteration costs components · rows · code²."""

CODES_A_NUMBER = 4
"""Full covariances need at least this many codes for each row of each matrix."""


@brief
@dataclass(frozen=True)
class FittedMixture:
    """Σ_c weight_c N(mean_c, L_c L_cᵀ), the aggregated posterior of a trained model (Ghosh et al. 2020, "From
    variational to deterministic autoencoders", section 4: density estimation after training).

    Attributes:
        weights: probabilities of the components; their sum is 1.
        means: means of the components.
        factors: lower Cholesky factors of the covariances; for diagonal covariances only the diagonals.
    """

    weights: Float64[Tensor, " components"]
    means: Float64[Tensor, "components code"]
    factors: Float64[Tensor, "components code code"] | Float64[Tensor, "components code"]

    @classmethod
    def fit(
        cls,
        codes: Float[Tensor, "n code"],
        components: int = 10,
        *,
        generator: Generator,
        covariance: str = "auto",
        iterations: int = 100,
        floor: float = 1e-6,
    ) -> FittedMixture:
        """Expectation maximisation from k-means, by scikit-learn.

        Args:
            codes: means of posteriors, or samples from them.
            components: number of components, at most the number of codes.
            generator: random generator for the start of k-means.
            covariance: "full", or "diag" for wide codes: a full covariance has code² numbers per component. "auto" is
                full up to 128 dimensions if there are enough codes.
            iterations: maximum number; without convergence there is a warning in the log and the last one is used.
            floor: value added to the variances.

        Raises:
            SettingError: components or covariance out of range.
            ValueRangeError: a code is not finite.
            MissingLibraryError: scikit-learn is not installed.
        """
        if not 1 <= components <= len(codes):
            raise SettingError(f"{components} components", expected=f"1 to {len(codes)}, the number of codes")
        if covariance not in COVARIANCES:
            raise SettingError(f"covariance {covariance!r}", expected=" or ".join(COVARIANCES))
        if not bool(codes.isfinite().all()):
            raise ValueRangeError("a code is not finite", expected="numbers", remedy="check the model")
        if covariance == "auto":
            width = codes.shape[1]
            enough = CODES_A_NUMBER * width * components <= len(codes)
            covariance = "full" if width <= WIDEST and enough else "diag"
        seed = int(torch.randint(2**31, (), device=generator.device, generator=generator))
        settings = {"covariance_type": covariance, "max_iter": iterations, "reg_covar": floor, "random_state": seed}
        found = _mixture(codes.detach().cpu().double(), {"n_components": components, **settings})
        spreads = torch.from_numpy(found.covariances_).double()
        factors = torch.linalg.cholesky(spreads).contiguous() if covariance == "full" else spreads.sqrt()
        weights, means = (torch.from_numpy(part).double() for part in (found.weights_, found.means_))
        return cls(weights, means, factors)

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> FittedMixture:
        """Restore a mixture from the result of ``tensors``.

        Raises:
            BundleError: wrong names or shapes.
        """
        if set(tensors) != {"weights", "means", "factors"}:
            raise BundleError(f"tensors {sorted(tensors)}", expected="weights, means and factors of a mixture")
        weights, means, factors = (tensors[name].double() for name in ("weights", "means", "factors"))
        components, code = (*means.shape, 0, 0)[:2]
        if weights.shape != (components,) or factors.shape not in ((components, code), (components, code, code)):
            shapes = ", ".join(str(list(tensor.shape)) for tensor in (weights, means, factors))
            raise BundleError(f"weights, means and factors of shapes {shapes}", expected="shapes that fit each other")
        return cls(weights, means, factors)

    def tensors(self) -> dict[str, Tensor]:
        """All tensors by name, for storage."""
        return {"weights": self.weights, "means": self.means, "factors": self.factors}

    def log_prob(self, z: Float[Tensor, "n code"]) -> Float64[Tensor, " n"]:
        """Log density, nats, computed in fp64 on the CPU."""
        z = z.detach().cpu().double()
        parts = [self._component(z, component) for component in range(len(self.weights))]
        constant = 0.5 * z.shape[1] * math.log(2 * math.pi)
        return torch.stack(parts).logsumexp(0) - constant

    def sample(self, n: int, generator: Generator) -> Float[Tensor, "n code"]:
        """Independent samples in fp32, on the generator's device."""
        device = generator.device
        chosen = torch.multinomial(self.weights.to(device), n, replacement=True, generator=generator)
        noise = torch.randn(n, self.means.shape[1], dtype=torch.float64, device=device, generator=generator)
        drawn = self.means.to(device)[chosen]
        for component, factor in enumerate(self.factors.to(device)):
            own = chosen == component
            drawn[own] += noise[own] * factor if factor.dim() == 1 else noise[own] @ factor.T
        return drawn.float()

    def _component(self, z: Float64[Tensor, "n code"], component: int) -> Float64[Tensor, " n"]:
        """log of weight · density, without the constant that depends on the code's width."""
        factor, centred = self.factors[component], z - self.means[component]
        if factor.dim() == 1:
            standard, volume = centred / factor, factor.log().sum()
        else:
            standard = torch.linalg.solve_triangular(factor, centred.T, upper=False).T
            volume = factor.diagonal().log().sum()
        return self.weights[component].log() - 0.5 * standard.square().sum(1) - volume


def _mixture(codes: Float64[Tensor, "n code"], settings: dict[str, Any]) -> Any:
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture
    except ImportError as error:
        raise MissingLibraryError(
            f"a fitted mixture needs the library {error.name!r}, which cannot be imported",
            remedy="pip install scikit-learn",
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # said below, in the log
        found = GaussianMixture(**settings).fit(codes.numpy())
    if not found.converged_:
        logger.warning("the mixture has not converged after %d iterations", found.n_iter_)
    return found
