"""An estimator as a detector of PyOD, where higher scores are more anomalous and outliers are labelled 1. Importing
this file imports PyOD."""

from __future__ import annotations

from typing import Any, final

import numpy as np
import numpy.typing as npt
from sklearn.base import clone

from isthmus.errors import MissingLibraryError
from isthmus_vectors.estimators.base import VectorEstimator

try:
    from pyod.models.base import BaseDetector
except ImportError as error:
    raise MissingLibraryError(
        f"as_pyod needs the library {error.name!r}, which cannot be imported", remedy="pip install pyod"
    ) from error


def as_pyod(estimator: VectorEstimator) -> PyodDetector:
    """A PyOD detector based on ``estimator``, which is cloned at each ``fit`` and does not change.

    It has the interface of PyOD's detectors: ``fit``, ``decision_function`` (higher is more anomalous), ``predict`` (1
    for outliers), ``decision_scores_``, ``labels_``, ``threshold_``, ``predict_proba``, ``predict_confidence``.
    """
    return PyodDetector(estimator)


@final
class PyodDetector(BaseDetector):  # type: ignore[misc]
    """See ``as_pyod``.

    Args:
        estimator: an estimator, fitted or not, which is cloned at each ``fit``; its ``contamination`` is used as
            PyOD's.
    """

    def __init__(self, estimator: VectorEstimator) -> None:
        self.estimator = estimator
        super().__init__(contamination=estimator.contamination)

    def fit(self, X: Any, y: Any = None) -> PyodDetector:
        """Train on the rows ``X``; ``y`` is ignored."""
        self._set_n_classes(y)
        self.estimator_ = clone(self.estimator).fit(X)
        self.decision_scores_ = self.decision_function(X)
        self._process_decision_scores()
        return self

    def decision_function(self, X: Any) -> npt.NDArray[np.float64]:
        """−log p(row | its code), nats; higher is more anomalous."""
        scores: npt.NDArray[np.float64] = -self.estimator_.score_samples(X)
        return scores
