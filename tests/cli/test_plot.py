"""``isthmus plot``: one picture of a bundle, and one clear line for every mistake."""

import json
import struct

import numpy as np
import pytest

from isthmus.cli import main
from isthmus_vectors import VectorAutoencoder

pytest.importorskip("matplotlib")


@pytest.fixture
def run(capsys):
    def call(*args):
        code = main([str(arg) for arg in args])
        return code, *capsys.readouterr()

    return call


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    place = tmp_path_factory.mktemp("plot") / "table"
    rows = np.random.default_rng(0).normal(size=(80, 3)).astype(np.float32)
    VectorAutoencoder.fit(rows, epochs=3, code=2, progress=False).save(place)
    return place


def size(path):
    head = path.read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    return struct.unpack(">II", head[16:24])


def test_it_draws_beside_the_bundle(bundle, run):
    code, answer, said = run("plot", bundle)
    assert (code, said) == (0, "")
    assert answer.startswith(f"{bundle}.png: training, codes, use of the code")
    assert min(size(bundle.with_name("table.png"))) > 200


def test_the_document_names_the_panels_and_what_is_left_out(bundle, tmp_path, run):
    code, answer, _ = run("plot", bundle, "--out", tmp_path / "a.svg", "--json")
    document = json.loads(answer)
    assert code == 0
    assert document["path"] == str(tmp_path / "a.svg")
    assert document["panels"][:2] == ["training", "codes"]
    assert set(document) == {"path", "panels", "left_out"}
    assert (tmp_path / "a.svg").read_text().startswith("<?xml")


def test_a_folder_takes_the_picture_in(bundle, tmp_path, run):
    assert run("plot", bundle, "--out", tmp_path)[0] == 0
    assert size(tmp_path / "table.png")


def test_other_codes_take_the_place_of_those_of_the_bundle(bundle, tmp_path, run):
    np.save(tmp_path / "codes.npy", np.random.default_rng(0).random((20, 4)).astype(np.float32))
    (tmp_path / "labels.txt").write_text("\n".join("ab"[row % 2] for row in range(20)))
    given = ("--codes", tmp_path / "codes.npy", "--labels", tmp_path / "labels.txt")
    code, answer, _ = run("plot", bundle, *given, "--out", tmp_path / "a.png", "--json")
    assert code == 0
    assert json.loads(answer)["panels"].count("codes") == 1


def test_codes_that_cannot_be_read_are_named(bundle, tmp_path, run):
    (tmp_path / "text.npy").write_text("no codes")
    np.save(tmp_path / "flat.npy", np.arange(4.0))
    for name, part in (
        ("text.npy", "cannot be read"),
        ("flat.npy", "contains no codes"),
        ("none.npy", "does not exist"),
    ):
        code, _, said = run("plot", bundle, "--codes", tmp_path / name)
        assert code == 2
        assert part in said


def test_labels_need_codes_of_their_number(bundle, tmp_path, run):
    (tmp_path / "labels.txt").write_text("one\ntwo\n")
    code, _, said = run("plot", bundle, "--labels", tmp_path / "labels.txt")
    assert code == 2
    assert "labels without codes" in said
    np.save(tmp_path / "codes.npy", np.ones((3, 2), dtype=np.float32))
    code, _, said = run("plot", bundle, "--labels", tmp_path / "labels.txt", "--codes", tmp_path / "codes.npy")
    assert code == 2
    assert "2 labels for 3 codes" in said


def test_another_ending_no_folder_and_no_bundle_are_mistakes(bundle, tmp_path, run):
    assert run("plot", bundle, "--out", tmp_path / "a.bmp")[0] == 2
    code, _, said = run("plot", bundle, "--out", tmp_path / "none" / "a.png")
    assert code == 2
    assert "no directory" in said
    assert run("plot", tmp_path)[0] == 2
