"""A new user's path through each of the four jobs, with nothing but what the pages say: own file, fit, ask, evaluate,
update, save, load, and the same on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from users_files import write_files

import isthmus
from isthmus.cli import main

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def told(capsys: pytest.CaptureFixture[str], *command: str) -> dict:
    """The document of a command that succeeds."""
    capsys.readouterr()
    assert main([*command, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_recommend(capsys: pytest.CaptureFixture[str]) -> None:
    write_files("films.csv new_users.csv")
    made = isthmus.Recommender.fit(
        "films.csv", "ease", user="who", item="movie", value="stars", time="when", regularisation=5.0, progress=False
    )
    answer = made.recommend([[1, 4, 7]], k=5)[0]
    # People like items whose number leaves the same remainder by 3.
    assert {item % 3 for item, _, _ in answer} == {1}
    assert answer[0].id == answer.ids[0]
    assert made.similar_items([1], k=3)[0].ids[0] % 3 == 1
    text = Path("new_users.csv").read_text(encoding="utf-8")
    Path("new_films.csv").write_text("who,movie,stars,when\n" + text.split("\n", 1)[1], encoding="utf-8")
    assert made.evaluate("new_films.csv", metrics=["recall@20"]).means["recall@20"] > 0.5
    newer = made.update("new_films.csv", progress=False)
    assert len(newer.adapter.users) == len(made.adapter.users) + 60
    newer.save("films.bundle")
    assert isthmus.load("films.bundle").recommend([[1, 4, 7]], k=5)[0].ids == newer.recommend([[1, 4, 7]], k=5)[0].ids

    columns = ("--user", "who", "--item", "movie", "--value", "stars", "--time", "when")
    told(capsys, "fit", "interactions", "films.csv", *columns, "--model", "ease", "--out", "cli.bundle")
    found = told(capsys, "recommend", "cli.bundle", "--history", "1,4", "-k", "3")
    assert len(found["items"]) == 3
    assert told(capsys, "evaluate", "cli.bundle", "new_films.csv")["users"] > 0
    told(capsys, "update", "cli.bundle", "new_films.csv")


def test_texts(capsys: pytest.CaptureFixture[str]) -> None:
    write_files("sentences.txt held_out.txt")
    lines = Path("sentences.txt").read_text(encoding="utf-8").splitlines()
    model = isthmus.TextAutoencoder.fit("sentences.txt", code=16, epochs=1, progress=False)
    hits = model.search([lines[3]], k=3)[0]
    assert hits[0].item == lines[3]
    assert len(model.decode(model.encode(["one sentence"]))) == 1
    assert model.evaluate(Path("held_out.txt")).texts == 60
    model.save("text.bundle")
    assert np.array_equal(isthmus.load("text.bundle").encode(lines[:5]), model.encode(lines[:5]))

    told(capsys, "fit", "text", "sentences.txt", "--epochs", "1", "--out", "cli.bundle")
    assert len(told(capsys, "search", "cli.bundle", lines[3], "-k", "2")["found"]) == 2
    assert told(capsys, "encode", "cli.bundle", "held_out.txt", "--out", "codes.npy")["texts"] == 60
    assert told(capsys, "evaluate", "cli.bundle", "held_out.txt")["texts"] == 60


def test_images(capsys: pytest.CaptureFixture[str]) -> None:
    write_files("photographs one.png")
    model = isthmus.ImageAutoencoder.fit("photographs", "denoising", size=24, code=8, epochs=2, progress=False)
    assert len(model.search("one.png", k=5)[0]) == 5
    assert model.denoise("photographs").shape == (80, 24, 24)
    assert model.sample(4, seed=1).shape == (4, 24, 24)
    assert model.evaluate("photographs").mse > 0
    model.save("images.bundle")
    assert np.array_equal(isthmus.load("images.bundle").encode("photographs"), model.encode("photographs"))

    told(capsys, "fit", "images", "photographs", "--size", "24", "--epochs", "1", "--out", "cli.bundle")
    told(capsys, "sample", "cli.bundle", "-n", "4", "--out", "new.png")
    assert Path("new.png").stat().st_size > 0
    assert len(told(capsys, "search", "cli.bundle", "one.png", "-k", "2")["found"]) == 2
    assert told(capsys, "evaluate", "cli.bundle", "photographs")["images"] == 80


def test_tables_and_vectors(capsys: pytest.CaptureFixture[str]) -> None:
    write_files("normal.csv new.csv vectors.npy")
    detector = isthmus.Detector.fit("normal.csv", drop=["station"], epochs=5, progress=False)
    scores = detector.anomaly_scores("new.csv")
    # The first three of the new rows are made up.
    assert set(np.argsort(-scores)[:2].tolist()) <= {0, 1, 2}
    detector.save("detector.bundle")
    assert np.allclose(isthmus.load("detector.bundle").anomaly_scores("new.csv"), scores)

    model = isthmus.VectorAutoencoder.fit("normal.csv", drop=["station"], code=2, epochs=3, progress=False)
    assert model.encode("new.csv").shape == (60, 2)
    assert model.evaluate("new.csv").rows == 60

    vectors = np.load("vectors.npy")
    index = isthmus.Index.build(vectors, metric="cosine")
    assert index.search(vectors[:1], k=1)[0].ids == [0]
    index.save("items.index")
    assert len(isthmus.load("items.index")) == len(vectors)

    told(
        capsys,
        "fit",
        "vectors",
        "normal.csv",
        "--drop",
        "station",
        "--code",
        "2",
        "--epochs",
        "2",
        "--out",
        "cli.bundle",
    )
    assert told(capsys, "anomalies", "cli.bundle", "new.csv", "-k", "5")["rows"] == 60
    assert told(capsys, "encode", "cli.bundle", "new.csv", "--out", "codes.npy")["width"] == 2
