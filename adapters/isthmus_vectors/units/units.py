"""What the units of a sparse code stand for: the records of each that light it most, by their texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from isthmus.checked.arguments import whole
from isthmus.disk import written
from isthmus.errors import InputError
from isthmus.reprs import brief
from isthmus_vectors.autoencoder import VectorAutoencoder
from isthmus_vectors.units.names import Namer
from isthmus_vectors.units.page import page

CHUNK = 4096
"""Rows that are encoded at a time."""

SPARSE = 0.5
"""Largest share of the units that may be active in a row, on average, in a code that counts as sparse."""

SPARE = 3
"""As many times the wanted records are kept, because records with equal texts are shown once."""


@dataclass(frozen=True)
class Lit:
    """A record that lights a unit.

    Attributes:
        text: its text.
        row: its place among the vectors, from 0.
        activation: the unit's number in its code; higher is stronger.
    """

    text: str
    row: int
    activation: float


@brief
@dataclass(frozen=True)
class Unit:
    """A unit of a code.

    Attributes:
        unit: its place in a code, from 0.
        name: words that its texts have in common and others do not.
        share: share of the records that light it, 0 to 1.
        texts: the records that light it most, the strongest first, each text once.
    """

    unit: int
    name: str
    share: float
    texts: tuple[Lit, ...]


@brief
@dataclass(frozen=True)
class Units:
    """All units of a model over some records, the most frequent first.

    Attributes:
        records: number of records.
        width: number of units of a code.
        active: mean number of units that a record lights.
        units: those that any record lights.
    """

    records: int
    width: int
    active: float
    units: tuple[Unit, ...]

    def document(self) -> dict[str, Any]:
        """All of it as JSON values."""
        about = {"records": self.records, "units": self.width, "dead": self.width - len(self.units)}
        return {**about, "active": self.active, "found": [asdict(one) for one in self.units]}

    def html(self, title: str = "Units") -> str:
        """A page of HTML, in one file and without scripts.

        Args:
            title: of the page.
        """
        return page(title, self)

    def save(self, path: str | Path, title: str = "Units") -> None:
        """Write the page, completely or not at all; an older file is replaced.

        Raises:
            InputError: the path is not writable.
            OSError: for example a full disk.
        """
        with written(Path(path)) as file:
            file.write(self.html(title).encode("utf-8"))


def sparse_units(model: VectorAutoencoder, vectors: Any, texts: Sequence[str], k: int = 10) -> Units:
    """Name the units of a sparse model by the texts whose vectors light them most.

    Units of sparse codes of embeddings often stand for one subject each (Bricken et al., "Towards Monosemanticity",
    Anthropic 2023; O'Neill et al., "Disentangling Dense Embeddings with Sparse Autoencoders", 2024). A name has the
    words w with the largest p log(p / q): p is the share of the texts listed that have w, q that of all texts.

    Args:
        model: a model with sparse codes, such as ``sparse``.
        vectors: rows of numbers, such as embeddings; anything that ``model.encode`` accepts.
        texts: one for each row, in order.
        k: how many texts are listed for each unit.

    Returns:
        The units.

    Raises:
        InputError: another number of texts than of rows, or codes that are not sparse.
        SettingError: ``k`` below 1.
    """
    k = whole("k", k, least=1)
    rows = model.adapter.rows(vectors)
    if len(rows) != len(texts) or not len(rows):
        raise InputError(f"{len(texts):,} texts of {len(rows):,} rows", expected="one for each row, and at least one")
    most = _Most(model.code_width, SPARE * k)
    for start in range(0, len(rows), CHUNK):
        places = np.arange(start, min(start + CHUNK, len(rows)))
        most.add(model.encode(rows.select(places)), places)
    active = float(most.counts.sum() / len(rows))
    if most.negative or active > SPARSE * model.code_width:
        raise InputError(
            f"codes of {model.builder} with {active:.0f} of {model.code_width} units active"
            + (", some below 0" if most.negative else ""),
            expected="a sparse code",
            remedy="fit the model sparse",
        )
    namer = Namer(texts)
    found = [_unit(int(unit), most, namer, texts, k) for unit in np.argsort(-most.counts, kind="stable")]
    return Units(len(rows), model.code_width, active, tuple(unit for unit in found if unit.share > 0))


def _unit(unit: int, most: _Most, namer: Namer, texts: Sequence[str], k: int) -> Unit:
    known: dict[str, Lit] = {}
    for row, value in zip(most.rows[unit].tolist(), most.values[unit].tolist(), strict=True):
        if value > 0 and len(known) < k:
            known.setdefault(texts[row], Lit(texts[row], row, value))
    return Unit(unit, namer.name(list(known)), float(most.counts[unit] / most.records), tuple(known.values()))


class _Most:
    """The records that light each unit most, of those that were added."""

    def __init__(self, units: int, k: int) -> None:
        self.values: Float32[np.ndarray, "units k"] = np.zeros((units, k), np.float32)
        self.rows: Int64[np.ndarray, "units k"] = np.zeros((units, k), np.int64)
        self.counts: Int64[np.ndarray, " units"] = np.zeros(units, np.int64)
        self.records, self.negative = 0, False

    def add(self, codes: Float32[np.ndarray, "records units"], places: Int64[np.ndarray, " records"]) -> None:
        """More records; of equal activations the earlier record comes first."""
        self.records += len(codes)
        self.counts += (codes > 0).sum(0)
        self.negative = self.negative or bool((codes < 0).any())
        values = np.concatenate([self.values, codes.T], 1)
        rows = np.concatenate([self.rows, np.broadcast_to(places, codes.T.shape)], 1)
        first = np.argsort(-values, axis=1, kind="stable")[:, : self.values.shape[1]]
        self.values, self.rows = np.take_along_axis(values, first, 1), np.take_along_axis(rows, first, 1)
