"""The codes of a model as a table for Embedding Atlas, which draws large maps in the browser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from jaxtyping import Float
from torch.nn.functional import normalize

from isthmus.disk import written
from isthmus.errors import InputError
from isthmus.plots.maps import plane

MOST = 100_000
"""Records that are drawn unless more are asked for."""

NEAR = 15
"""Neighbours of a record in the table."""

MOST_COMPARED = 50_000
"""Records of which neighbours are computed; a map of more has none."""

AT_A_TIME = 512


@dataclass(frozen=True)
class Mapped:
    """What is drawn: a point for each record.

    Attributes:
        codes: one for each record.
        columns: ids, titles, labels and so on, by the name of the column.
        text: the column that Embedding Atlas shows and searches.
    """

    codes: Float[np.ndarray, "records code"]
    columns: dict[str, Sequence[Any]] = field(default_factory=dict)
    text: str | None = None


def mapped(face: Any, most: int = MOST) -> Mapped:
    """The records of a fitted model: the items of a recommender, the records that ``search`` finds, or the vectors of
    an index.

    Args:
        face: a fitted model, or an index.
        most: number of records; of more, evenly spaced ones are taken, of items the most popular ones.

    Returns:
        Codes and names.

    Raises:
        InputError: a model without records.
    """
    if hasattr(face, "mapped_items"):
        found: Mapped = face.mapped_items(most)
        return found
    if hasattr(face, "gallery"):
        gallery = face.gallery
        rows = _some(len(gallery), most)
        columns: dict[str, Sequence[Any]] = {"id": rows.tolist()}
        if gallery.items is not None:
            columns["text"] = [str(gallery.items[row]) for row in rows]
        if gallery.labels is not None:
            columns["label"] = [str(gallery.labels[row]) for row in rows]
        return Mapped(gallery.codes[torch.from_numpy(rows)].numpy(), columns, "text" if "text" in columns else None)
    if hasattr(face, "vectors") and hasattr(face, "ids"):
        ids = [face.ids[row] for row in _some(len(face), most)]
        return Mapped(face.vectors(ids), {"id": [str(id_) for id_ in ids]}, "id")
    raise InputError(
        f"a {type(face).__name__} without records to draw",
        expected="a recommender, a model with a gallery, or an index",
    )


def atlas_table(records: Mapped) -> pa.Table:
    """The columns of the records, ``x`` and ``y`` (the first two principal components), ``code``, and ``neighbors``
    (rows of the nearest records with their cosine distances, lower is nearer), unless there are too many.

    Args:
        records: what is drawn.

    Returns:
        A row for each record.

    Raises:
        InputError: fewer than two records.
    """
    if len(records.codes) < 2:
        raise InputError(f"{len(records.codes)} records to draw", expected="two or more")
    points = plane(records.codes)[0]
    codes = pa.FixedSizeListArray.from_arrays(
        pa.array(records.codes.astype(np.float32).ravel()), records.codes.shape[1]
    )
    columns = {name: pa.array(values) for name, values in records.columns.items()}
    columns |= {"x": pa.array(points[:, 0]), "y": pa.array(points[:, 1]), "code": codes}
    if len(records.codes) <= MOST_COMPARED:
        columns["neighbors"] = _neighbours(records.codes)
    return pa.table(columns)


def write_atlas(table: pa.Table, path: str | Path) -> Path:
    """Write the table as Parquet, whole or not at all.

    Args:
        table: of ``atlas_table``.
        path: of the file; an older one is replaced.

    Returns:
        The path.

    Raises:
        InputError: no file may be written there.
    """
    with written(path) as file:
        pq.write_table(table, file)
    return Path(path)


def _some(count: int, most: int) -> npt.NDArray[np.int64]:
    """Evenly spaced row numbers, the first and the last among them."""
    return np.unique(np.linspace(0, max(0, count - 1), min(count, most)).round().astype(np.int64))


def _neighbours(codes: Float[np.ndarray, "records code"]) -> pa.Array:
    """The nearest records of each by the cosine, without itself."""
    units = normalize(torch.from_numpy(codes.astype(np.float32)))
    near = min(NEAR, len(units) - 1)
    found: list[dict[str, list[Any]]] = []
    for start in range(0, len(units), AT_A_TIME):
        cosines = units[start : start + AT_A_TIME] @ units.T
        own = torch.arange(len(cosines))
        cosines[own, own + start] = -torch.inf
        best = cosines.topk(near)
        distances = (1 - best.values).clamp(min=0)
        found += [
            {"ids": ids, "distances": row} for ids, row in zip(best.indices.tolist(), distances.tolist(), strict=True)
        ]
    return pa.array(found, pa.struct({"ids": pa.list_(pa.int64()), "distances": pa.list_(pa.float32())}))
