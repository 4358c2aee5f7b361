"""An estimator behind PyOD's face. Imported only where PyOD is asked for."""

from __future__ import annotations

from typing import Any, final

import numpy as np
import numpy.typing as npt
from pyod.models.base import BaseDetector
from sklearn.base import clone

from isthmus_vectors.estimators.base import VectorEstimator


@final
class PyodDetector(BaseDetector):  # type: ignore[misc]
    """See ``isthmus_vectors.as_pyod``.

    Args:
        estimator: unfitted or not, it is copied at each ``fit``; its ``contamination`` counts.
    """

    def __init__(self, estimator: VectorEstimator) -> None:
        self.estimator = estimator
        super().__init__(contamination=estimator.contamination)

    def fit(self, X: Any, y: Any = None) -> PyodDetector:
        """Train; ``y`` is ignored."""
        self._set_n_classes(y)
        self.estimator_ = clone(self.estimator).fit(X)
        self.decision_scores_ = self.decision_function(X)
        self._process_decision_scores()
        return self

    def decision_function(self, X: Any) -> npt.NDArray[np.float64]:
        """−log p(row | its code), nats; higher is stranger."""
        scores: npt.NDArray[np.float64] = -self.estimator_.score_samples(X)
        return scores
