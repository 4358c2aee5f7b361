"""One estimator for each kind. scikit-learn reads the settings of an estimator from its signature, so all of them are
explicit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

from isthmus_vectors.estimators.base import VectorEstimator


@final
class Autoencoder(VectorEstimator):
    """A plain autoencoder: reduces dimensions (Hinton & Salakhutdinov, Science 2006).

    Args:
        code: numbers of a code.
        hidden: width of the layers on either side of the code.
        layers: number of these layers; None uses the default of the kind.
        likelihood: see ``isthmus.models.parts.likelihoods``; None uses the default of the kind.
        scaling: "robust" or "none", see ``isthmus_vectors.scaling``.
        epochs: passes over the rows.
        batch_size: number of rows per batch.
        learning_rate: initial learning rate; it falls to 0.
        validation: share of the rows that is held out to choose the best epoch; with 0 the last one is kept.
        contamination: share of the training rows that counts as outliers, above 0 and at most 0.5.
        mixture: whether a mixture is fitted to the codes, for ``sample(prior="fitted")``.
        device: "auto", "cpu" or "cuda"; only training uses it.
        random_state: the same number gives the same model; None uses a different one at each fit.

    Attributes:
        model_: the ``VectorAutoencoder``.
        offset_: the score below which a row is an outlier.
        n_iter_: number of trained epochs.
        n_features_in_, feature_names_in_: number and names of the columns.
    """

    kind: ClassVar[str] = "vanilla"

    def __init__(
        self,
        code: int = 8,
        *,
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
        return {}


@final
class VariationalAutoencoder(VectorEstimator):
    """A variational autoencoder, for samples and scores that are likelihoods (Kingma & Welling, ICLR 2014).

    Args:
        code: dimensions of the code.
        beta: weight of the rate (KL divergence from N(0, 1)) at the end of annealing.
        annealing: share of the training over which that weight rises from 0.
        free_bits: nats per dimension that are not penalised.
        hidden, layers, likelihood, scaling, epochs, batch_size, learning_rate: as in ``Autoencoder``.
        validation, contamination, mixture, device, random_state: as in ``Autoencoder``.
    """

    kind: ClassVar[str] = "variational"

    def __init__(
        self,
        code: int = 8,
        *,
        beta: float = 1.0,
        annealing: float = 0.25,
        free_bits: float = 0.0,
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
        self.beta = beta
        self.annealing = annealing
        self.free_bits = free_bits
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
        return {"beta": self.beta, "annealing": self.annealing, "free_bits": self.free_bits}


@final
class DenoisingAutoencoder(VectorEstimator):
    """A denoising autoencoder: reconstructs rows from corrupted ones (Vincent et al., ICML 2008).

    Args:
        code: dimensions of the code.
        noise: corruption in training, see ``isthmus.models.parts.corruptions``; None uses the default.
        level: amount of noise; None uses the default level.
        hidden, layers, likelihood, scaling, epochs, batch_size, learning_rate: as in ``Autoencoder``.
        validation, contamination, mixture, device, random_state: as in ``Autoencoder``.
    """

    kind: ClassVar[str] = "denoising"

    def __init__(
        self,
        code: int = 8,
        *,
        noise: str | None = None,
        level: float | None = None,
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
        self.noise = noise
        self.level = level
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
        return {"noise": self.noise, "level": self.level}


@final
class SparseAutoencoder(VectorEstimator):
    """A sparse autoencoder: a wide code with few active units per row (Gao et al., ICLR 2025).

    Args:
        code: dimensions of the code.
        form: "topk", "batch-topk", "jumprelu", "l1" or "kl"; see ``isthmus.models.kinds.sparse``.
        k: active units per row.
        weight: weight of the penalty, if the form has one.
        hidden, layers, likelihood, scaling, epochs, batch_size, learning_rate: as in ``Autoencoder``.
        validation, contamination, mixture, device, random_state: as in ``Autoencoder``.
    """

    kind: ClassVar[str] = "sparse"

    def __init__(
        self,
        code: int = 64,
        *,
        form: str = "topk",
        k: int = 8,
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
        self.k = k
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
        return {"form": self.form, "k": self.k, "weight": self.weight}


@final
class ContractiveAutoencoder(VectorEstimator):
    """A contractive autoencoder: small changes of a row barely change its code (Rifai et al., ICML 2011).

    Args:
        code: numbers of a code.
        weight: weight of the squared norm of ∂code / ∂input.
        method: method for computing this norm, see ``isthmus.core.penalties.jacobian``.
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
