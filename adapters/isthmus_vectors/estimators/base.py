"""The base class of the estimators; each adds the keywords of its kind."""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, OutlierMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from isthmus.checked.arguments import flag
from isthmus.checked.dense import as_float, real_numbers
from isthmus.checked.sparse import checked_csr
from isthmus.errors import InputError, SettingError
from isthmus.reprs import one_line
from isthmus.training.run import Run
from isthmus_vectors.autoencoder import VectorAutoencoder
from isthmus_vectors.vectors import Vectors

Numbers = npt.NDArray[Any]

FLOATS = (np.float64, np.float32)


class VectorEstimator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, OutlierMixin, BaseEstimator, ABC):  # type: ignore[misc]
    """``fit transform inverse_transform score_samples decision_function predict sample`` for one kind of model.

    Scores are log-likelihoods: higher is more normal. ``predict`` returns -1 for outliers and 1 for inliers; a share
    ``contamination`` of the training rows counts as outliers. Results are computed in fp64, so that those of a row do
    not depend on the other rows of a call, and returned in the precision of the input.
    """

    kind: ClassVar[str]

    @abstractmethod
    def _settings(self) -> Mapping[str, Any]:
        """Keywords of the builder in addition to those that all kinds share."""

    def fit(self, X: Any, y: Any = None) -> VectorEstimator:
        """Train on rows, dense or sparse (which stay sparse).

        Args:
            X: shape (rows, width).
            y: ignored.

        Raises:
            ValueError: rows that cannot be trained on, or a setting outside its range (``isthmus.errors.InputError``).
        """
        rows = self._validated(X, reset=True)
        seed = _drawn(self.random_state)
        contamination = _checked(self.contamination)
        model = VectorAutoencoder.fit(
            Vectors.read(rows),
            self.kind,
            scaling=self.scaling,
            validation=self.validation,
            gallery=False,
            latent_prior=flag("mixture", self.mixture),
            run=Run(device=self.device, seed=seed),
            code=self.code,
            hidden=self.hidden,
            layers=self.layers,
            likelihood=self.likelihood,
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            **self._settings(),
        )
        self.model_ = model
        self.n_iter_ = len(model.history.records)
        scores = model.float64_model.log_likelihoods(Vectors.read(rows))
        self.offset_ = float(np.percentile(scores, 100 * contamination))
        self._n_features_out = int(self.code)
        return self

    def transform(self, X: Any) -> Numbers:
        """Codes, shape (rows, code): the mean of the posterior if there is one, never sampled."""
        rows = self._validated(X)
        return self.model_.float64_model.codes(Vectors.read(rows)).astype(rows.dtype)

    def inverse_transform(self, X: Any) -> Numbers:
        """Decode codes to rows, in their original units; dense even if sparse rows were trained on."""
        check_is_fitted(self)
        codes = check_array(_on_host(X), dtype=FLOATS)
        if codes.shape[1] != self._n_features_out:
            raise InputError(f"codes of {codes.shape[1]} numbers", expected=f"{self._n_features_out}")
        decoded = self.model_.float64_model.decode(codes.astype(np.float64))
        return as_float(decoded, codes.dtype.type, copied=False)

    def score_samples(self, X: Any) -> npt.NDArray[np.float64]:
        """log p(row | its code), nats; higher is more normal."""
        rows = self._validated(X)
        scores: npt.NDArray[np.float64] = self.model_.float64_model.log_likelihoods(Vectors.read(rows))
        return scores

    def decision_function(self, X: Any) -> npt.NDArray[np.float64]:
        """``score_samples`` minus ``offset_``: below 0 for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> npt.NDArray[np.int64]:
        """-1 for outliers, 1 for the others."""
        return np.where(self.decision_function(X) >= 0, 1, -1)

    def sample(self, n: int = 1, *, random_state: Any = None, prior: str = "fitted") -> Numbers:
        """Generate new rows from random codes.

        Args:
            n: number of rows.
            random_state: None uses that of the estimator.
            prior: ``fitted`` or ``standard``, see ``VectorAutoencoder.sample``.

        Returns:
            fp64, shape (n, width), in the units of the training rows.
        """
        check_is_fitted(self)
        seed = _drawn(self.random_state if random_state is None else random_state)
        return self.model_.sample(n, seed=seed, prior=prior).astype(np.float64)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _validated(self, X: Any, *, reset: bool = False) -> Any:
        if not reset:
            check_is_fitted(self)
        rows = checked_csr(X, "X") if issparse(X) else _on_host(X)
        return validate_data(self, rows, reset=reset, accept_sparse="csr", dtype=FLOATS)


def _on_host(X: Any) -> Any:
    """Convert a torch tensor, on any device, with or without gradients, to an array; other objects are unchanged."""
    return real_numbers(X) if callable(getattr(X, "detach", None)) else X


def _drawn(random_state: Any) -> int:
    """A seed from a random state as accepted by scikit-learn.

    Raises:
        SettingError: no such state.
    """
    try:
        return int(check_random_state(random_state).randint(2**31 - 1))
    except (TypeError, ValueError) as error:
        raise SettingError(
            f"random_state={one_line(repr(random_state))} ({one_line(str(error))})",
            expected="a whole number from 0 to 4,294,967,295, a RandomState or None",
        ) from None


def _checked(contamination: Any) -> float:
    value = float(contamination) if isinstance(contamination, numbers.Real) else 0.0
    if not 0 < value <= 0.5:
        raise SettingError(f"contamination={contamination!r}", expected="a share above 0, at most 0.5")
    return value
