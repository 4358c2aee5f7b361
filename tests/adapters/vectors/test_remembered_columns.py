"""A model is asked with files as they come: columns in another order, with ids, labels and holes in between."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from isthmus.errors import ColumnError, InputError, ValueRangeError
from isthmus.training.run import Run
from isthmus_vectors import Compressor, Detector, VectorAutoencoder, Vectors
from isthmus_vectors.adapter import VectorAdapter

RUN = Run(device="cpu", precision="fp32")
NUMBERS = np.random.default_rng(0).normal(size=(300, 3))
TABLE = pd.DataFrame(NUMBERS, columns=["height", "weight", "age"])
LABELLED = TABLE.assign(id=[f"p{row}" for row in range(300)], label="ok")


def autoencoder(rows: Any, **choice: Any) -> VectorAutoencoder:
    return VectorAutoencoder.fit(rows, code=1, hidden=8, epochs=1, latent_prior=False, run=RUN, **choice)


def detector(rows: Any, **choice: Any) -> Detector:
    return Detector.fit(rows, members=2, epochs=1, run=RUN, **choice)


def compressor(rows: Any, **choice: Any) -> Compressor:
    return Compressor.fit(rows, 2, prefixes=[2], hidden=8, code=4, epochs=1, run=RUN, **choice)


FITS: dict[str, tuple[Callable[..., Any], str]] = {
    "autoencoder": (autoencoder, "encode"),
    "detector": (detector, "anomaly_scores"),
    "compressor": (compressor, "encode"),
}


@pytest.mark.parametrize("kind", FITS)
def test_files_of_any_shape_that_hold_the_columns(kind: str, tmp_path: Path) -> None:
    fit, verb = FITS[kind]
    fit(LABELLED, drop=["id", "label"]).save(tmp_path / "b")
    model = type(fit(LABELLED, columns=["height", "weight", "age"])).load(tmp_path / "b")
    assert model.columns == ("height", "weight", "age")
    wanted = getattr(model, verb)(NUMBERS)
    # What the model never saw may hold anything: text, holes, lists.
    other = LABELLED[["label", "age", "id", "height", "weight"]].assign(hole=np.nan, lists=[[1.0]] * 300)
    other.drop(columns="lists").to_csv(tmp_path / "new.csv", index=False)
    other.to_parquet(tmp_path / "new.parquet")
    arrow = pa.Table.from_pandas(other)
    for source in (
        other,
        pl.from_arrow(arrow),
        arrow,
        tmp_path / "new.parquet",
        Vectors.read(TABLE[["age", "height", "weight"]]),
    ):
        assert np.array_equal(getattr(model, verb)(source), wanted)
    assert np.allclose(getattr(model, verb)(str(tmp_path / "new.csv")), wanted)


def test_every_verb_finds_its_columns() -> None:
    model = autoencoder(LABELLED, columns=["age", "height"])
    other = LABELLED.assign(weight="unknown")
    assert model.reconstruct(other).shape == (300, 2)
    assert len(model.search(other[:2], k=1)) == 2
    assert len(model.with_gallery(other[:5]).search(other[:1], k=9)[0]) == 5
    assert model.is_anomaly(other).shape == (300,)
    assert model.evaluate(other).width == 2
    finder = detector(LABELLED, columns=["age", "height"])
    assert finder.explain(other).shape == (300, 2)
    assert finder.predict(other).shape == (300,)


def test_columns_that_are_missing() -> None:
    model = autoencoder(LABELLED, drop=["id", "label"])
    with pytest.raises(ColumnError, match=r"no columns 'height', 'age' in the table.*'height': did you mean 'heigth'"):
        model.encode(TABLE.rename(columns={"height": "heigth", "age": "years"}))
    with pytest.raises(ColumnError, match=r"no column 'age'.*all 3 columns.*fit a model without it \(drop=\['age'\]"):
        model.encode(TABLE[["weight", "height"]])
    with pytest.raises(ColumnError, match="no column 'age' in the rows"):
        model.encode(Vectors.read(TABLE, drop="age"))
    with pytest.raises(ColumnError, match=r"Duplicate column names found: \['age', 'age'\]"):
        model.encode(TABLE[["age", "age"]])
    with pytest.raises(ColumnError, match="2 columns 'age'"):
        model.encode(pa.table([pa.array([1.0])] * 4, names=["age", "age", "height", "weight"]))
    with pytest.raises(ColumnError, match=r"column 'age' of the table with text \(row 2, column 'age' holds '\?'\)"):
        model.encode(TABLE[:3].assign(age=["1", "?", "3"]))


def test_what_is_no_number_is_left_out_at_the_fit() -> None:
    with pytest.raises(ColumnError, match=r"drop=\['id', 'label'\] in Python, --drop id --drop label on"):
        autoencoder(LABELLED)
    with pytest.raises(ColumnError, match=r"--drop 'date of birth'"):
        autoencoder(TABLE.assign(**{"date of birth": pd.Timestamp("2026-01-01")}))
    with pytest.raises(
        ValueRangeError, match=r"row 3, column 'age' .*\(2 of 300 rows have such a cell\).*or the column"
    ):
        autoencoder(TABLE.assign(age=[0.0, 1.0, np.nan, np.nan, *range(296)]))
    assert autoencoder(LABELLED.drop(columns="label"), drop="id").columns == ("height", "weight", "age")


def test_ids_that_are_numbers_are_pointed_out(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        autoencoder(TABLE.assign(user_id=np.random.default_rng(1).permutation(300), row=np.arange(300) + 7))
    said = [record.getMessage() for record in caplog.records if record.name == "isthmus_vectors.vectors"]
    assert said[0] == "trains on 300 rows of 5 columns: 'height', 'weight', 'age', 'user_id', 'row'"
    assert "'user_id', 'row'; " in said[1]
    caplog.clear()
    autoencoder(TABLE.assign(valid=1, grid_id=np.arange(300) % 7))
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("kind", FITS)
def test_columns_of_arrays_by_position(kind: str, tmp_path: Path) -> None:
    fit, verb = FITS[kind]
    wide = np.column_stack([np.arange(300.0), NUMBERS])
    fit(wide, drop=[0]).save(tmp_path / "b")
    model = type(fit(wide, columns=[1, 2, 3])).load(tmp_path / "b")
    wanted = getattr(model, verb)(NUMBERS)
    assert np.array_equal(getattr(model, verb)(wide), wanted)
    with pytest.raises(InputError, match="expected 3, as in the rows that were trained on"):
        getattr(model, verb)(np.ones((2, 5)))
    for strange in (["age"], [4], [-5]):
        with pytest.raises(ColumnError, match="positions from 0 to 3"):
            fit(wide, columns=strange)


def test_rows_with_and_without_names() -> None:
    named, nameless = autoencoder(TABLE), autoencoder(NUMBERS)
    assert np.array_equal(named.encode(NUMBERS), named.encode(TABLE))
    assert np.array_equal(nameless.encode(TABLE), nameless.encode(NUMBERS))
    with pytest.raises(InputError, match=r"rows of 4 numbers in the table; expected 3.*no names.*columns=\["):
        nameless.encode(TABLE.assign(more=1.0))
    with pytest.raises(ColumnError, match=r"without names of columns.*drop=\['id', 'label'\]"):
        nameless.encode(LABELLED)
    assert nameless.encode(Vectors.read(LABELLED, drop=["id", "label"])).shape == (300, 1)


def test_columns_of_lists_are_found_with_their_parts() -> None:
    model = autoencoder(pa.table({"id": ["a"] * 300, "vector": NUMBERS.tolist()}), columns="vector")
    assert model.columns == ("vector.0", "vector.1", "vector.2")
    assert np.array_equal(
        model.encode(pa.table({"vector": NUMBERS.tolist(), "text": ["b"] * 300})), model.encode(NUMBERS)
    )
    flat = pd.DataFrame(NUMBERS, columns=model.columns)[["vector.2", "vector.0", "vector.1"]]
    assert np.array_equal(model.encode(flat), model.encode(NUMBERS))
    with pytest.raises(ColumnError, match="column 'vector' of the table with 2 numbers a row; expected 3"):
        model.encode(pa.table({"vector": [[1.0, 2.0]]}))


def test_what_a_bundle_tells_of_places() -> None:
    adapter = VectorAdapter.fit(Vectors.read(NUMBERS, drop=[0]))
    table = json.loads(adapter.state()["table.json"])
    assert (table["places"], table["places_of"]) == ([1, 2], 3)
    assert VectorAdapter.restore(adapter.state()).known == adapter.known
    assert "places" not in VectorAdapter.fit(Vectors.read(NUMBERS)).state()["table.json"]
