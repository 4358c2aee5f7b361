"""Batch jobs of models with codes and anomaly scores; what recommenders answer is in their own tests."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import isthmus
from isthmus.errors import ColumnError, SettingError
from isthmus.jobs import answer_part
from isthmus.jobs.tasks import tasks_of


class Coder:
    """A face with codes and anomaly scores of one column."""

    def encode(self, records):
        return np.array([[len(text), 1.0] for text in records], dtype=np.float32)

    def anomaly_scores(self, records):
        return np.array([float(len(text)) for text in records])

    def is_anomaly(self, records):
        return self.anomaly_scores(records) > 2


def test_general_tasks_copy_what_tells_the_rows():
    table, options = pa.table({"id": [7, 8], "text": ["ab", "abc"]}), {"column": "text", "copy": "id"}
    codes = tasks_of(Coder())["encode"](Coder(), table, options)
    assert codes.to_pylist() == [{"id": 7, "code": [2.0, 1.0]}, {"id": 8, "code": [3.0, 1.0]}]
    found = tasks_of(Coder())["anomalies"](Coder(), table, options)
    assert found.to_pylist() == [{"id": 7, "score": 2.0, "anomaly": False}, {"id": 8, "score": 3.0, "anomaly": True}]
    with pytest.raises(ColumnError, match="no column 'words'"):
        tasks_of(Coder())["encode"](Coder(), table, {"column": "words"})
    with pytest.raises(SettingError, match="k"):
        tasks_of(Coder())["encode"](Coder(), table, {"k": 3})


@pytest.mark.slow
def test_parts_of_vectors_and_texts_are_the_plain_calls(tmp_path):
    draw = np.random.default_rng(0)
    rows = pa.table({name: draw.normal(size=200) for name in ("a", "b", "c")})
    detector = isthmus.Detector.fit(rows)
    detector.save(tmp_path / "detector")
    pq.write_table(rows.append_column("id", pa.array(range(200))), tmp_path / "rows.parquet")
    answer_part(tmp_path / "detector", tmp_path / "rows.parquet", tmp_path / "out.parquet", "anomalies", copy="id")
    found = pq.read_table(tmp_path / "out.parquet")
    np.testing.assert_allclose(found["score"], detector.anomaly_scores(rows), rtol=1e-6)
    assert found["id"].to_pylist() == list(range(200))
    model = isthmus.VectorAutoencoder.fit(rows, "vanilla", code=2, epochs=1, progress=False)
    model.save(tmp_path / "model")
    answer_part(tmp_path / "model", tmp_path / "rows.parquet", tmp_path / "codes.parquet", "encode")
    codes = np.array(pq.read_table(tmp_path / "codes.parquet")["code"].to_pylist())
    np.testing.assert_allclose(codes, model.encode(rows), rtol=1e-5, atol=1e-6)
