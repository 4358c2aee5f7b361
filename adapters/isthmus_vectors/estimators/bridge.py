"""The way to PyOD, where higher scores are stranger and outliers are labelled 1."""

from __future__ import annotations

from typing import Any

from isthmus.errors import MissingLibraryError
from isthmus_vectors.estimators.base import VectorEstimator


def as_pyod(estimator: VectorEstimator) -> Any:
    """A detector of PyOD that asks ``estimator``, which is copied at each ``fit`` and stays as it is.

    It has what PyOD's detectors have: ``fit``, ``decision_function`` (higher is stranger), ``predict`` (1 for
    outliers), ``decision_scores_``, ``labels_``, ``threshold_``, ``predict_proba``, ``predict_confidence``.

    Raises:
        MissingLibraryError: PyOD is not installed.
    """
    try:
        from isthmus_vectors.estimators.pyod import PyodDetector
    except ImportError as error:
        raise MissingLibraryError(f"as_pyod needs {error.name!r}", remedy="pip install pyod") from error
    return PyodDetector(estimator)
