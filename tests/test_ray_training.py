"""Ray Train starts the processes of a training that isthmus joins."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import isthmus
from isthmus.errors import SettingError
from isthmus.integrations.ray import fit

TOLD = {"epochs": 2, "code": 8, "seed": 1, "batch_size": 40}


def test_what_cannot_be_trained_is_refused_before_ray_starts(tmp_path):
    with pytest.raises(SettingError, match="workers=0"):
        fit("Recommender", "events.parquet", "mult-dae", tmp_path / "out", workers=0)
    with pytest.raises(SettingError, match="JSON"):
        fit("Recommender", "events.parquet", "mult-dae", tmp_path / "out", log=print)
    with pytest.raises(SettingError, match="face"):
        fit("Nobody", "events.parquet", "mult-dae", tmp_path / "out")


@pytest.mark.slow
def test_two_workers_split_the_batches_of_texts(tmp_path):
    pytest.importorskip("ray")
    draw = np.random.default_rng(0)
    texts = [" ".join(draw.choice(["red", "cat", "sat", "on", "mat"], 5)) for _ in range(120)]
    (tmp_path / "texts.txt").write_text("\n".join(texts))
    told = {"epochs": 2, "code": 8, "hidden": 16, "heads": 2, "tokens": 200, "tokenizer": "word", "precision": "fp32"}
    script = tmp_path / "train.py"
    script.write_text(
        "from isthmus.integrations.ray import fit\n"
        f"fit('TextAutoencoder', 'texts.txt', 'sequence-vae', 'bundle', workers=2, shard='batches', **{told!r})\n"
    )
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    alone = isthmus.TextAutoencoder.fit(tmp_path / "texts.txt", "sequence-vae", progress=False, **told)
    several = isthmus.load(tmp_path / "bundle")
    np.testing.assert_allclose(several.encode(texts[:9]), alone.encode(texts[:9]), atol=1e-4)


@pytest.mark.slow
def test_two_workers_learn_what_one_process_learns(tmp_path):
    pytest.importorskip("ray")
    draw = np.random.default_rng(0)
    table = pa.table({"user": draw.integers(0, 90, 1500), "item": draw.integers(0, 40, 1500)})
    pq.write_table(table, tmp_path / "events.parquet")
    script = tmp_path / "train.py"
    script.write_text(
        "from isthmus.integrations.ray import fit\n"
        f"fit('Recommender', 'events.parquet', 'mult-dae', 'bundle', workers=2, **{TOLD!r})\n"
    )
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    alone = isthmus.Recommender.fit(table, "mult-dae", progress=False, **TOLD)
    items = alone.adapter.items.ids.tolist()
    several = isthmus.load(tmp_path / "bundle")
    np.testing.assert_allclose(several.score([[1, 2]], items), alone.score([[1, 2]], items), atol=1e-4)
