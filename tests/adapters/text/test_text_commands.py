"""The verbs over texts as a user meets them: documents, mistakes, standard input, Ctrl-C."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isthmus.cli import main
from isthmus.training import trainer

Run = Callable[..., tuple[int, str, str]]
LINES = ["a cat sees fish", "the dog eats bread", "my bird has water", "a cat eats bread", "the dog has two eggs"] * 30
SMALL = (
    *("--model", "sequence-vae", "--setting", "form=lstm", "--setting", "hidden=24", "--setting", "code=4"),
    *("--epochs", "2", "--device", "cpu"),
)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lines.txt").write_text("\n".join(LINES) + "\n", encoding="utf-8")
    (tmp_path / "table.csv").write_text("id,said\n" + "".join(f"{n},{line}\n" for n, line in enumerate(LINES)))

    def call(*args: object) -> tuple[int, str, str]:
        code = main([str(arg) for arg in args])
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def fitted(run: Run) -> Run:
    assert run("fit", "text", "lines.txt", "--out", "m", *SMALL)[0] == 0
    return run


def document(answer: tuple[int, str, str]) -> Any:
    code, out, error = answer
    assert code == 0, error
    return json.loads(out)


def test_fit_tells_what_it_made(run: Run) -> None:
    told = document(run("fit", "text", "table.csv", "--column", "said", "--out", "m", "--json", *SMALL))
    assert told["texts"] == len(LINES)
    assert told["epochs"] == 2
    assert told["objective"] == pytest.approx(-(told["held_out_nll"] + told["held_out_rate"]), abs=1e-3)
    assert (Path("m") / "manifest.json").is_file()


def test_codes_go_out_and_come_back_as_texts(fitted: Run) -> None:
    told = document(fitted("encode", "m", "lines.txt", "--out", "codes.npy", "--json"))
    assert told == {"texts": len(LINES), "width": 4, "path": "codes.npy"}
    codes = np.load("codes.npy")
    assert np.array_equal(codes[0], codes[5]), "the same line has the same code"
    shown = document(fitted("encode", "m", "lines.txt", "--json"))
    np.testing.assert_allclose(shown["codes"], codes, rtol=1e-6)
    back = document(fitted("decode", "m", "codes.npy", "--json"))["texts"]
    pairs = document(fitted("reconstruct", "m", "lines.txt", "--json"))["texts"]
    assert back == [pair["reconstruction"] for pair in pairs]
    assert [pair["text"] for pair in pairs] == LINES


def test_answers_in_a_file_are_a_text_a_line(fitted: Run) -> None:
    told = document(fitted("sample", "m", "-n", "7", "--seed", "3", "--out", "new.txt", "--json"))
    assert told == {"texts": 7, "path": "new.txt"}
    lines = Path("new.txt").read_text(encoding="utf-8").split("\n")
    assert len(lines) == 8
    assert document(fitted("sample", "m", "-n", "7", "--seed", "3", "--json"))["texts"][0].split() == lines[0].split()


def test_search_in_what_was_fitted_and_in_another_file(fitted: Run) -> None:
    found = document(fitted("search", "m", LINES[0], "-k", "2", "--json"))["found"]
    assert [one["text"] for one in found] == [LINES[0]] * 2
    assert found[0]["score"] == pytest.approx(1, abs=1e-4)
    Path("other.txt").write_text("nothing like it\na cat sees fish\n")
    found = document(fitted("search", "m", LINES[0], "-k", "9", "--in", "other.txt", "--json"))["found"]
    assert [one["text"] for one in found] == ["a cat sees fish", "nothing like it"]


def test_interpolation_and_evaluation(fitted: Run) -> None:
    assert len(document(fitted("interpolate", "m", LINES[0], LINES[1], "--steps", "4", "--json"))["texts"]) == 4
    told = document(fitted("evaluate", "m", "lines.txt", "--samples", "8", "--json"))
    assert told["texts"] == len(LINES)
    assert told["weighted_nll"] < told["nll"] + told["rate"]


def test_texts_from_standard_input(fitted: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("a cat sees fish\nthe dog eats bread\n"))
    assert len(document(fitted("reconstruct", "m", "-", "--json"))["texts"]) == 2
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    code, _, error = fitted("reconstruct", "m", "-")
    assert code == 2
    assert "standard input is empty" in error


def test_people_see_tables(fitted: Run) -> None:
    for args in (
        ("search", "m", "a cat"),
        ("sample", "m"),
        ("reconstruct", "m", "lines.txt"),
        ("evaluate", "m", "lines.txt"),
    ):
        code, out, _ = fitted(*args)
        assert code == 0
        assert len(out.splitlines()) > 2


def test_mistakes_before_training(run: Run) -> None:
    for args, said in [
        (("fit", "text", "gone.txt", "--out", "m"), "no file"),
        (("fit", "text", "table.csv", "--column", "sad", "--out", "m"), "said"),
        (("fit", "text", "lines.txt", "--out", "m", "--model", "mult-vae"), "sequence-vae"),
        (("fit", "text", "lines.txt", "--out", "lines.txt"), "lines.txt"),
        (("fit", "text", "empty.txt", "--out", "m"), "empty"),
        (("fit", "text", "bytes.txt", "--out", "m"), "line 1"),
    ]:
        Path("empty.txt").write_text("")
        Path("bytes.txt").write_bytes(b"\xff\xfe\xfa broken\n")
        code, out, error = run(*args)
        assert (code, out) == (2, "")
        assert said in error
        assert not Path("m").exists()


def test_mistakes_when_asking(fitted: Run) -> None:
    for args, said in [
        (("encode", "m", "lines.txt"), "--out"),
        (("encode", "m", "lines.txt", "--out", "lines.txt"), "exists"),
        (("decode", "m", "lines.txt"), ".npy"),
        (("decode", "m", "wide.npy"), "shape"),
        (("decode", "m", "gone.npy"), "gone.npy"),
        (("sample", "m", "--prior", "wild"), "prior"),
        (("sample", "m", "--strategy", "wild"), "strategy"),
        (("search", "m", "a cat", "--column", "x"), "--in"),
        (("recommend", "m"), "recommend"),
    ]:
        np.save("wide.npy", np.zeros((2, 9), np.float32))
        code, out, error = fitted(*args)
        assert (code, out) == (2, "")
        assert said in error


def test_ctrl_c_keeps_the_best_model_so_far(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = trainer._Training._take

    def interrupted(self: Any, record: Any, epoch: int) -> None:
        inner(self, record, epoch)
        if epoch == 1:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(trainer._Training, "_take", interrupted)
    small = [*SMALL[:-4], "--epochs", "50", "--device", "cpu"]
    code, out, error = run("fit", "text", "lines.txt", "--out", "m", "--json", *small)
    assert code == 0
    assert json.loads(out)["interrupted"]
    assert json.loads(out)["epochs"] < 50
    assert "the best model so far is saved" in error
    assert run("sample", "m")[0] == 0


def test_without_the_extra_the_remedy_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    for name in [name for name in sys.modules if name.startswith("isthmus_text")]:
        monkeypatch.delitem(sys.modules, name)
    code, _, error = run("fit", "text", "lines.txt", "--out", "m")
    assert code == 2
    assert "isthmus[text]" in error
