"""Batch jobs of recommenders: parts that are whole stay, failed ones are named, engines agree with the plain call."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.cli import main
from isthmus.errors import ColumnError, InputError, JobError, SettingError, SourceError, UnknownIdError
from isthmus.jobs import answer_part, run
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.recommender import Recommender


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A recommender, its bundle, and a file with the histories of new users."""
    folder, draw = tmp_path_factory.mktemp("shop"), np.random.default_rng(0)
    columns = {"user": draw.integers(0, 45, 900), "item": draw.integers(0, 30, 900)}
    table = pa.table({**columns, "time": draw.integers(10**9, 10**9 + 10**6, 900)})
    recommender = Recommender.fit(table, "ease", progress=False)
    recommender.save(folder / "bundle")
    pq.write_table(table, folder / "events.parquet")
    histories = [draw.choice(30, size=4, replace=False).tolist() for _ in range(25)]
    asked = pa.table({"user": [f"new{number}" for number in range(25)], "history": histories})
    pq.write_table(asked, folder / "asked.parquet", row_group_size=4)
    return recommender, folder, histories


def rows_of(answers, users):
    return [
        (user, rank, item, score)
        for user, answer in zip(users, answers, strict=True)
        for rank, (item, score) in enumerate(zip(answer.ids, answer.scores, strict=True), 1)
    ]


def assert_rows(path: Path, expected):
    found = pq.read_table(path).to_pylist()
    assert [(one["user"], one["rank"], one["item"]) for one in found] == [line[:3] for line in expected]
    np.testing.assert_allclose([one["score"] for one in found], [line[3] for line in expected], rtol=1e-5)


def test_a_part_is_the_plain_call(shop, tmp_path):
    recommender, folder, histories = shop
    out = tmp_path / "out.parquet"
    assert answer_part(folder / "bundle", folder / "asked.parquet", out, k=3, rows=(3, 9)) == 18
    users = [f"new{number}" for number in range(3, 9)]
    assert_rows(out, rows_of(recommender.recommend(histories[3:9], 3), users))
    answer_part(folder / "bundle", folder / "asked.parquet", out, "score", items=[1, 2, 99])
    scores = np.array(pq.read_table(out)["score"]).reshape(25, 3)
    np.testing.assert_allclose(scores, recommender.score(histories, [1, 2, 99]), rtol=1e-5)
    known = tmp_path / "known.parquet"
    pq.write_table(pa.table({"user": [3, 5], "items": [[1], [2, 4]]}), known)
    answer_part(folder / "bundle", known, out, "score")
    found = pq.read_table(out).to_pylist()
    assert [(one["user"], one["item"]) for one in found] == [(3, 1), (5, 2), (5, 4)]
    whole = recommender.score(
        [recommender.adapter.items.take(recommender.interactions[[3]].indices.astype(np.int64))], [1]
    )
    assert found[0]["score"] == pytest.approx(float(whole[0, 0]), rel=1e-5)


def test_parts_that_are_whole_are_not_done_again(shop, tmp_path):
    recommender, folder, histories = shop
    job = {"source": folder / "asked.parquet", "out": tmp_path / "out", "rows": 10, "workers": 1, "k": 2}
    first = run(folder / "bundle", **job)
    assert (first.parts, first.rows, first.done) == (3, 50, 3)
    manifest = json.loads((tmp_path / "out" / "_manifest.json").read_text())
    assert [(part["start"], part["stop"], part["rows"]) for part in manifest["parts"]] == [
        (0, 10, 20), (10, 20, 20), (20, 25, 10),
    ]  # fmt: skip
    (tmp_path / "out" / "part-00001.parquet").write_bytes(b"PAR1 half")
    assert run(folder / "bundle", **job).done == 1
    assert run(folder / "bundle", **job).done == 0
    assert run(folder / "bundle", **{**job, "k": 3}).done == 3
    expected = rows_of(recommender.recommend(histories, 3), [f"new{number}" for number in range(25)])
    assert_rows(tmp_path / "out", expected)
    with pytest.raises(InputError, match="larger job"):
        run(folder / "bundle", **{**job, "rows": 100})


def test_a_failed_part_names_its_input(shop, tmp_path):
    _, folder, _ = shop
    (tmp_path / "asked").mkdir()
    for name, users in (("a", [1, 2]), ("b", [3, 1000]), ("c", [4])):
        pq.write_table(pa.table({"user": users}), tmp_path / "asked" / f"{name}.parquet")
    with pytest.raises(JobError, match=r"1 part failed, and 2 parts are complete; rows 1 to 2 of .*b\.parquet.*1000"):
        run(folder / "bundle", tmp_path / "asked", tmp_path / "out", workers=1)
    pq.write_table(pa.table({"user": [3]}), tmp_path / "asked" / "b.parquet")
    assert run(folder / "bundle", tmp_path / "asked", tmp_path / "out", workers=1).done == 1


def test_what_cannot_be_answered_is_refused(shop, tmp_path):
    _, folder, _ = shop
    bundle, out = folder / "bundle", tmp_path / "out.parquet"
    pq.write_table(pa.table({"who": [1]}), tmp_path / "who.parquet")
    pq.write_table(pa.table({"user": [77777]}), tmp_path / "unknown.parquet")
    (tmp_path / "no.parquet").write_text("text")
    refused = [
        (ColumnError, "who.parquet", {}, "user"),
        (UnknownIdError, "unknown.parquet", {}, "77777"),
        (SourceError, "no.parquet", {}, "Parquet"),
        (SourceError, "missing.parquet", {}, "does not exist"),
        (SettingError, "who.parquet", {"task": "encode"}, "recommend, score"),
        (SettingError, "who.parquet", {"kk": 3}, "kk"),
        (ColumnError, "unknown.parquet", {"task": "score"}, "items"),
    ]
    for error, name, options, said in refused:
        with pytest.raises(error, match=said):
            answer_part(bundle, tmp_path / name, out, **options)
    assert not out.exists()
    with pytest.raises(SettingError, match="engine"):
        run(bundle, folder / "asked.parquet", tmp_path / "x", engine="spark")
    with pytest.raises(SettingError, match="torchrun"):
        run(bundle, folder / "asked.parquet", tmp_path / "x", engine="torchrun")
    with pytest.raises(SourceError, match="no file matches"):
        run(bundle, str(tmp_path / "*.none"), tmp_path / "x")


def test_events_become_histories(shop, tmp_path, capsys):
    recommender, folder, _ = shop
    events = str(folder / "events.parquet")
    command = ["recommend", str(folder / "bundle"), "--users", events, "--out", str(tmp_path / "recs"), "-k", "2"]
    assert main([*command, "--workers", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["done_now"] == 1
    whole = Interactions.read(events)
    assert_rows(tmp_path / "recs", rows_of(recommender.recommend(whole, 2), whole.users.ids.tolist()))
    assert main([*command, "--workers", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["done_now"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "torchrun", "ray"])
def test_engines_agree_with_the_plain_call(shop, tmp_path, engine):
    pytest.importorskip("ray") if engine == "ray" else None
    recommender, folder, histories = shop
    start = [sys.executable, "-m", "isthmus"]
    if engine == "torchrun":
        start = [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--nproc-per-node",
            "2",
            "--standalone",
            "-m",
            "isthmus",
        ]
    asked = [str(folder / "bundle"), str(folder / "asked.parquet"), "--out", str(tmp_path / "out"), "--rows", "9"]
    more = {"local": ["--workers", "2"], "torchrun": [], "ray": ["--workers", "1"]}[engine]
    command = [*start, "batch", "recommend", *asked, "--engine", engine, "--setting", "k=3", *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ})
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").glob("part-*.parquet"))) == 3
    assert_rows(tmp_path / "out", rows_of(recommender.recommend(histories, 3), [f"new{n}" for n in range(25)]))
