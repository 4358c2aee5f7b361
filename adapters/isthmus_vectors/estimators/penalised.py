"""Estimators of the two kinds that are held by a penalty beside a narrow code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

from isthmus_vectors.estimators.base import VectorEstimator


@final
class SparseAutoencoder(VectorEstimator):
    """A sparse autoencoder: a wide code of which each row uses a few units (Gao et al., ICLR 2025).

    Args:
        code: numbers of a code.
        form: "topk", "batch-topk", "jumprelu", "l1" or "kl"; see ``isthmus.models.kinds.sparse``.
        active: units that a row uses.
        weight: of the penalty, where the form has one.
        hidden, layers, likelihood, scaling, epochs, batch_size, learning_rate: as in ``Autoencoder``.
        validation, contamination, mixture, device, random_state: as in ``Autoencoder``.
    """

    kind: ClassVar[str] = "sparse"

    def __init__(
        self,
        code: int = 64,
        *,
        form: str = "topk",
        active: int = 8,
        weight: float | None = None,
        hidden: int = 64,
        layers: int | None = None,
        likelihood: str | None = None,
        scaling: str = "robust",
        epochs: int = 50,
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        validation: float = 0.0,
        contamination: float = 0.1,
        mixture: bool = True,
        device: str = "auto",
        random_state: Any = 0,
    ) -> None:
        self.code = code
        self.form = form
        self.active = active
        self.weight = weight
        self.hidden = hidden
        self.layers = layers
        self.likelihood = likelihood
        self.scaling = scaling
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation = validation
        self.contamination = contamination
        self.mixture = mixture
        self.device = device
        self.random_state = random_state

    def _settings(self) -> Mapping[str, Any]:
        return {"form": self.form, "k": self.active, "weight": self.weight}


@final
class ContractiveAutoencoder(VectorEstimator):
    """A contractive autoencoder: small changes leave the code nearly still (Rifai et al., ICML 2011).

    Args:
        code: numbers of a code.
        weight: of the squared norm of ∂code / ∂input.
        method: how that norm is found, see ``isthmus.core.penalties.jacobian``.
        hidden, layers, likelihood, scaling, epochs, batch_size, learning_rate: as in ``Autoencoder``.
        validation, contamination, mixture, device, random_state: as in ``Autoencoder``.
    """

    kind: ClassVar[str] = "contractive"

    def __init__(
        self,
        code: int = 8,
        *,
        weight: float = 0.1,
        method: str = "auto",
        hidden: int = 64,
        layers: int | None = None,
        likelihood: str | None = None,
        scaling: str = "robust",
        epochs: int = 50,
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        validation: float = 0.0,
        contamination: float = 0.1,
        mixture: bool = True,
        device: str = "auto",
        random_state: Any = 0,
    ) -> None:
        self.code = code
        self.weight = weight
        self.method = method
        self.hidden = hidden
        self.layers = layers
        self.likelihood = likelihood
        self.scaling = scaling
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation = validation
        self.contamination = contamination
        self.mixture = mixture
        self.device = device
        self.random_state = random_state

    def _settings(self) -> Mapping[str, Any]:
        return {"weight": self.weight, "method": self.method}
