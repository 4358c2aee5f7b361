"""The table and the word vectors of the demo."""

from __future__ import annotations

import numpy as np

from isthmus_vectors import datasets


def test_tumours() -> None:
    data = datasets.tumours()
    assert data.rows.num_rows == len(data.malignant) == 569
    assert data.rows.column_names[0] == "mean radius"
    assert data.malignant.sum() == 212


def test_words_are_bundled() -> None:
    data = datasets.demo_words()
    assert len(data.words) == len(set(data.words)) == 16_000
    assert data.words[:3] == ("the", "of", "to")
    assert data.vectors.shape == (16_000, 100)
    assert np.allclose(np.linalg.norm(data.vectors, axis=1), 1, atol=1e-6)
    king, queen, airport = (data.vectors[data.words.index(word)] for word in ("king", "queen", "airport"))
    assert king @ queen > king @ airport + 0.3
