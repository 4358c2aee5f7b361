"""Real vectors for the demo: a table from scikit-learn, and word vectors that are included in the package."""

from __future__ import annotations

import io
from dataclasses import dataclass
from importlib.resources import as_file, files

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from jaxtyping import Float32

from isthmus.datafolder import unpacked
from isthmus.errors import MissingLibraryError
from isthmus.reprs import brief


@brief
@dataclass(frozen=True, eq=False)
class Tumours:
    """Measurements of cell nuclei, with diagnoses.

    Attributes:
        rows: 569 rows of 30 columns with names, such as "mean radius".
        malignant: diagnosis, shape (569,); the other 357 are benign.
    """

    rows: pa.Table
    malignant: npt.NDArray[np.bool_]


@brief
@dataclass(frozen=True, eq=False)
class Words:
    """Words and their vectors, the most frequent first.

    Attributes:
        words: of letters a to z only.
        vectors: of length 1.
    """

    words: tuple[str, ...]
    vectors: Float32[np.ndarray, "words 100"]


def tumours() -> Tumours:
    """Breast Cancer Wisconsin (Diagnostic) (Street, Wolberg & Mangasarian 1993), from scikit-learn.

    Raises:
        MissingLibraryError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_breast_cancer
    except ImportError as error:
        raise MissingLibraryError("this table needs scikit-learn", remedy="pip install scikit-learn") from error
    found = load_breast_cancer()
    columns = {str(name): found.data[:, place] for place, name in enumerate(found.feature_names)}
    return Tumours(pa.table(columns), found.target == 0)


def demo_words() -> Words:
    """16,000 English words with the directions of their GloVe vectors (Pennington, Socher & Manning 2014, public
    domain), included in the package as one byte per number: the cosine similarity to the original is above 0.9999."""
    with as_file(files("isthmus_vectors") / "data" / "demo_glove") as folder:
        names = unpacked(folder / "words.txt.xz").decode("ascii").split()
        rounded = np.load(io.BytesIO(unpacked(folder / "vectors.npy.xz")), allow_pickle=False).astype(np.float32)
    return Words(tuple(names), rounded / np.linalg.norm(rounded, axis=1, keepdims=True))
