"""``isthmus plot``: pictures beside a bundle, and one clear line for every mistake."""

import json
import struct

import numpy as np
import pytest
import torch

from isthmus import bundle
from isthmus.cli import main
from isthmus.training.history import History

pytest.importorskip("matplotlib")


@pytest.fixture
def run(capsys):
    def call(*args):
        code = main([str(arg) for arg in args])
        return code, *capsys.readouterr()

    return call


def saved(place, epochs=3, **facts):
    history = History()
    for epoch in range(1, epochs + 1):
        history.take({"epoch": epoch, "phase": "", "loss": 3.0 / epoch, "seconds": 0.1})
    bundle.write(
        place,
        plugin="letters",
        builder="none",
        settings={},
        facts={"training": history.to_json(), **facts},
        tensors={"a": torch.zeros(1)},
        documents={},
    )
    return place


def size(path):
    head = path.read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    return struct.unpack(">II", head[16:24])


def test_it_draws_the_training_beside_the_bundle(tmp_path, run):
    code, answer, said = run("plot", saved(tmp_path / "a"))
    assert (code, said) == (0, "")
    assert answer.strip() == str(tmp_path / "a-plots" / "training.png")
    assert min(size(tmp_path / "a-plots" / "training.png")) > 200


def test_codes_make_a_map_in_the_folder_and_the_form_that_are_named(tmp_path, run):
    np.save(tmp_path / "codes.npy", np.random.default_rng(0).random((20, 4)).astype(np.float32))
    (tmp_path / "labels.txt").write_text("\n".join("ab"[row % 2] for row in range(20)))
    options = ("--codes", tmp_path / "codes.npy", "--labels", tmp_path / "labels.txt", "--out", tmp_path / "p")
    code, answer, said = run("plot", saved(tmp_path / "a"), *options, "--format", "svg", "--json")
    assert (code, said) == (0, "")
    assert json.loads(answer) == {"written": [str(tmp_path / "p" / f"{name}.svg") for name in ("training", "codes")]}
    assert "component 1" in (tmp_path / "p" / "codes.svg").read_text() or (tmp_path / "p" / "codes.svg").stat().st_size


@pytest.mark.parametrize("facts", [{}, {"training": {"records": [{}, {}], "colour": "red"}}, {"training": 3}])
def test_what_was_not_trained_by_epochs_has_no_curves(tmp_path, run, facts):
    code, answer, said = run("plot", saved(tmp_path / "a", epochs=1, **facts))
    assert (code, answer) == (2, "")
    assert said.startswith("isthmus: a bundle")


def test_codes_that_cannot_be_read_are_named(tmp_path, run):
    place = saved(tmp_path / "a")
    (tmp_path / "text.npy").write_text("no codes")
    np.save(tmp_path / "flat.npy", np.arange(4.0))
    for name, part in (("text.npy", "cannot be read"), ("flat.npy", "holds no codes"), ("none.npy", "cannot be read")):
        code, _, said = run("plot", place, "--codes", tmp_path / name)
        assert code == 2
        assert part in said


def test_labels_need_codes_of_their_number(tmp_path, run):
    place = saved(tmp_path / "a")
    (tmp_path / "labels.txt").write_text("one\ntwo\n")
    code, _, said = run("plot", place, "--labels", tmp_path / "labels.txt")
    assert code == 2
    assert "labels without codes" in said
    np.save(tmp_path / "codes.npy", np.ones((3, 2), dtype=np.float32))
    code, _, said = run("plot", place, "--labels", tmp_path / "labels.txt", "--codes", tmp_path / "codes.npy")
    assert code == 2
    assert "2 labels for 3 codes" in said


def test_another_form_and_no_bundle_are_mistakes(tmp_path, run):
    assert run("plot", saved(tmp_path / "a"), "--format", "bmp")[0] == 2
    assert run("plot", tmp_path)[0] == 2
