"""Units of sparse codes, named by texts, on planted subjects: every vector is a sum of two of six directions."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from isthmus.cli import main
from isthmus.errors import InputError, SettingError
from isthmus_vectors import VectorAutoencoder, sparse_units
from isthmus_vectors.units.names import Namer, words

SUBJECTS = ("cats", "dogs", "ships", "trees", "music", "bread")
NUMBERS = np.random.default_rng(0)
PAIRS = [tuple(sorted(NUMBERS.choice(6, 2, replace=False))) for _ in range(400)]
DIRECTIONS = np.linalg.qr(NUMBERS.normal(size=(12, 12)))[0][:6].astype(np.float32)
ROWS = np.stack([DIRECTIONS[a] + DIRECTIONS[b] for a, b in PAIRS])
ROWS += 0.02 * NUMBERS.normal(size=ROWS.shape).astype(np.float32)
TEXTS = [f"the {SUBJECTS[a]} and the {SUBJECTS[b]} number {row}" for row, (a, b) in enumerate(PAIRS)]


@pytest.fixture(scope="module")
def model() -> VectorAutoencoder:
    return VectorAutoencoder.fit(
        ROWS, "sparse", scaling="none", validation=0.0, device="cpu", progress=False, seed=0,
        code=16, k=2, epochs=60, batch_size=50, learning_rate=5e-3,
    )  # fmt: skip


def test_units_light_for_the_planted_subjects_and_are_named_by_them(model):
    found = sparse_units(model, ROWS, TEXTS, k=12)
    named = {subject for unit in found.units if unit.share > 0.1 for subject in SUBJECTS if subject in unit.name}
    assert len(named) >= 5
    unit = found.units[0]
    subject = next(one for one in SUBJECTS if one == unit.name.split(",")[0])
    assert all(subject in lit.text for lit in unit.texts)
    assert found.active <= 2


def test_the_records_are_the_strongest_in_order_and_each_text_once(model):
    texts = ["same" if row % 2 else text for row, text in enumerate(TEXTS)]
    codes = model.encode(ROWS)
    for unit in sparse_units(model, ROWS, texts, k=5).units:
        activations = [lit.activation for lit in unit.texts]
        assert activations == sorted(activations, reverse=True)
        assert activations[0] == pytest.approx(float(codes[:, unit.unit].max()))
        assert [float(codes[lit.row, unit.unit]) for lit in unit.texts] == pytest.approx(activations)
        assert len({lit.text for lit in unit.texts}) == len(unit.texts) <= 5
        assert unit.share == pytest.approx(float((codes[:, unit.unit] > 0).mean()))


def test_the_page_is_whole_and_escaped(model, tmp_path: Path):
    texts = [f"<script>alert({row})</script> & more" for row in range(len(ROWS))]
    found = sparse_units(model, ROWS, texts)
    found.save(tmp_path / "units.html", title="A <title>")
    page = (tmp_path / "units.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "A &lt;title&gt;" in page
    assert not re.search(r"(src|href)=", page)
    opened: list[str] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attributes: object) -> None:
            opened.append(tag)

    Tags().feed(page)
    assert opened.count("details") == len(found.units)


def test_what_is_not_sparse_or_does_not_fit_is_refused(model):
    plain = VectorAutoencoder.fit(ROWS, "vanilla", epochs=1, device="cpu", progress=False)
    with pytest.raises(InputError, match="sparse"):
        sparse_units(plain, ROWS, TEXTS)
    with pytest.raises(InputError, match="399 texts of 400 rows"):
        sparse_units(model, ROWS, TEXTS[1:])
    with pytest.raises(SettingError, match="k is 0"):
        sparse_units(model, ROWS, TEXTS, k=0)


def test_names_are_words_that_others_do_not_have():
    namer = Namer(["a red cat", "a red dog", "a blue cat", "a green tree", "a ship"])
    assert namer.name(["a red cat", "a red dog"]) == "red"
    assert namer.name(["a ship"]) == "ship"
    assert namer.name(["a green tree", "ship"]) == "a green tree"
    assert namer.name([]) == ""
    assert words("Don't stop, re-read IT_2!") == {"don't", "stop", "re-read", "it", "2"}


def test_the_command(model, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    np.save(tmp_path / "rows.npy", ROWS)
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    model.save(tmp_path / "a.bundle")
    arguments = ["units", str(tmp_path / "a.bundle"), str(tmp_path / "rows.npy")]
    assert main([*arguments, "--texts", str(tmp_path / "texts.txt"), "-k", "3", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["path"] == str(tmp_path / "a.bundle.units.html")
    assert "<details" in Path(told["path"]).read_text(encoding="utf-8")
    assert told["records"] == 400
    assert len(told["found"]) + told["dead"] == told["units"] == 16
    assert len(told["found"][0]["texts"]) == 3
    assert main([*arguments, "--texts", str(tmp_path / "none.txt")]) == 2
    assert "none.txt" in capsys.readouterr().err
