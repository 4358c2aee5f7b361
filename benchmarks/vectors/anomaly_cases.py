"""The cases of the benchmark ``anomaly``: rows to learn from, rows to ask, and their lines of results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks.drawn import drawn_table
from benchmarks.harness import Results
from isthmus.datafolder import dataset_path

NAME = "anomaly"
TABLES = (
    *("4_breastw", "6_cardio", "14_glass", "18_Ionosphere"),
    *("20_letter", "29_Pima", "31_satimage-2", "38_thyroid"),
)
SMALL = ("4_breastw", "14_glass", "18_Ionosphere", "29_Pima")
"""Tables of fewer rows than ``DRAWN``."""
DRAWN = 1000
DRAWN_TABLE = "drawn"
"""Of a smoke run."""


Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """Rows to learn from, rows to ask, and which of these are anomalies."""

    train: Array
    test: Array
    strange: npt.NDArray[np.bool_]


def one_class(part: str, name: str, seed: int) -> Case:
    """The first half of the normal rows trains."""
    rows, strange = far_rows() if name == DRAWN_TABLE else _read(name)
    if part == "duplicated":
        drawn = np.random.RandomState(seed).choice(np.arange(len(rows)), DRAWN, replace=True)
        rows, strange = rows[drawn], strange[drawn]
    normal = rows[~strange]
    half = len(normal) // 2
    test = np.concatenate([normal[half:], rows[strange]])
    return Case(normal[:half], test, np.arange(len(test)) >= len(normal) - half)


def _read(name: str) -> tuple[Array, npt.NDArray[np.bool_]]:
    with np.load(dataset_path(f"adbench/{name}.npz")) as file:
        return file["X"].astype(np.float64), file["y"].astype(bool)


def far_rows() -> tuple[Array, npt.NDArray[np.bool_]]:
    """A table of a smoke run; the last rows are far from the others."""
    rows = drawn_table(120, 6).astype(np.float64)
    rows[-20:] *= 4
    return rows, np.arange(len(rows)) >= 100


def area(case: Case, scores: Array) -> float:
    """Under the ROC curve, percent."""
    return round(100 * float(roc_auc_score(case.strange, scores)), 2)


def write(results: Results, key: dict[str, Any], case: Case, scores: Array, more: dict[str, Any]) -> None:
    """One line of results; ``key`` is part, case, method and seed."""
    precision = round(100 * float(average_precision_score(case.strange, scores)), 2)
    sizes = {"train_rows": len(case.train), "test_rows": len(case.test), "anomalies": int(case.strange.sum())}
    results.add(**key, auroc=area(case, scores), average_precision=precision, **sizes, **more)
