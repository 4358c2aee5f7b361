"""The five kinds as estimators of scikit-learn: transformer and outlier detector at once."""

from isthmus_vectors.estimators.bridge import as_pyod
from isthmus_vectors.estimators.kinds import Autoencoder, DenoisingAutoencoder, VariationalAutoencoder
from isthmus_vectors.estimators.penalised import ContractiveAutoencoder, SparseAutoencoder

__all__ = [
    "Autoencoder",
    "ContractiveAutoencoder",
    "DenoisingAutoencoder",
    "SparseAutoencoder",
    "VariationalAutoencoder",
    "as_pyod",
]
