"""Model cards: what the hub reads of them, what they tell, and what they never tell."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import ModelCard
from tiny_faces import made

import isthmus
from isthmus import bundle
from isthmus.bundle.manifest import CARD, MANIFEST
from isthmus.cards import CardWords, Measured, Score, card_text, read_scores, write_card
from isthmus.cards.front_matter import front_matter
from isthmus.cli import main
from isthmus.errors import BundleError, SourceError
from isthmus.faces import card_of_bundle

OLD = Path(__file__).parent.parent / "data" / "bundles-0.1"


def shop() -> Any:
    """Interactions with telling ids: 120 users, 15 items, in two groups of taste."""
    chance = np.random.default_rng(0)
    rows = [(user, 15 * (user % 2) // 2 + item) for user in range(120) for item in chance.choice(8, 6, replace=False)]
    return [f"secret-user-{user}" for user, _ in rows], [f"secret-item-{item}" for _, item in rows]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("cards") / "shop"
    titles = {"secret-item-1": "secret title"}
    isthmus.Recommender.fit(shop(), "ease", progress=False, titles=titles, validation=0.3).save(place)
    return place


def test_the_hub_reads_it(saved: Path) -> None:
    card = ModelCard.load(saved / CARD)
    assert (card.data.library_name, card.data.pipeline_tag) == ("isthmus", "other")
    assert {"isthmus", "ease", "recommender-system"} <= set(card.data.tags)
    (result,) = card.data.eval_results
    kept = bundle.peek(saved).facts["held_out"]
    assert (result.metric_type, result.metric_value) == ("ndcg@100", kept["model"]["mean"])
    assert result.dataset_name == "users held out of the training data"


def test_it_tells_sizes_and_intervals_but_no_id(saved: Path) -> None:
    text = (saved / CARD).read_text(encoding="utf-8")
    kept = bundle.peek(saved).facts["held_out"]["model"]
    low, high = (kept["mean"] + sign * 1.96 * kept["standard_error"] for sign in (-1, 1))
    assert f"{low:.4f} to {high:.4f}" in text
    assert "| users | 120 |" in text
    assert "popularity" in text
    assert "secret" not in text


def test_its_lines_of_python_run(saved: Path) -> None:
    (code,) = re.findall(r"```python\n(.+?)```", (saved / CARD).read_text(encoding="utf-8"), re.DOTALL)
    code = code.replace("the path of this folder", str(saved)).replace("the id of an item", "secret-item-1")
    lines = code.replace("the id of another one", "secret-item-2").strip().splitlines()
    assert len([line for line in lines if line]) <= 6
    names: dict[str, Any] = {}
    exec("\n".join(lines), names)
    assert str(names["item"]).startswith("secret-item-")


@pytest.mark.parametrize("name", ["detector", "compressor"])
def test_every_face_writes_one_unless_told_not_to(tmp_path: Path, name: str) -> None:
    face = made(name)
    face.save(tmp_path / "with")
    face.save(tmp_path / "without", card=False)
    assert ModelCard.load(tmp_path / "with" / CARD).data.library_name == "isthmus"
    assert not (tmp_path / "without" / CARD).exists()


def test_people_may_edit_it_and_nothing_else(saved: Path, tmp_path: Path) -> None:
    face = isthmus.load(saved)
    face.save(tmp_path / "a")
    write_card(tmp_path / "a", "mine")
    assert isthmus.load(tmp_path / "a").builder == "ease"
    assert (tmp_path / "a" / CARD).read_text() == "mine"
    (tmp_path / "a" / "notes.md").write_text("other")
    with pytest.raises(BundleError, match="foreign"):
        isthmus.load(tmp_path / "a")
    with pytest.raises(BundleError):
        write_card(tmp_path, "no bundle here")


@pytest.mark.parametrize("name", ["interactions-mult_vae", "vectors-vanilla"])
def test_old_bundles_have_none_and_get_one(name: str) -> None:
    assert not (OLD / name / CARD).exists()
    card = ModelCard(card_of_bundle(OLD / name))
    assert card.data.library_name == "isthmus"


def test_an_index_has_a_card_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made("index ids").save(tmp_path / "a")
    assert main(["card", str(tmp_path / "a"), "--write"]) == 0
    assert "an index of vectors" in (tmp_path / "a" / CARD).read_text()
    assert len(isthmus.load(tmp_path / "a")) == 6


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            {"users": 9, "metrics": {"recall@20": {"mean": 0.5, "standard_error": 0.1}}, "protocol": "asked once",
             "baselines": {"popularity": {"recall@20": 0.25}}},
            Measured("ours", (Score("recall@20", 0.5, 0.1, 0.25),), 9, ("Asked once.",)),
        ),
        (
            {"records": 7, "nll": 2.0, "rate": None, "samples": 0, "standard_errors": {"nll": 0.5}},
            Measured("ours", (Score("nll", 2.0, 0.5),), 7),
        ),
    ],
)  # fmt: skip
def test_scores_of_an_evaluation_are_read(tmp_path: Path, document: Any, expected: Measured) -> None:
    (tmp_path / "scores.json").write_text(json.dumps(document))
    assert read_scores(tmp_path / "scores.json", "ours") == expected


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"metrics": {}}', b"\xff", b'{"users": 3}'])
def test_other_files_are_no_scores(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "scores.json").write_bytes(content)
    with pytest.raises(SourceError, match="evaluate --json"):
        read_scores(tmp_path / "scores.json", "ours")


def test_the_command_adds_scores_and_a_license(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "scores.json").write_text(json.dumps({"metrics": {"mrr": {"mean": 0.5}}}))
    assert main(["card", str(saved), "--scores", str(tmp_path / "scores.json"), "--dataset", "ours: \"a\"",
                 "--license", "mit", "--json"]) == 0  # fmt: skip
    card = ModelCard(json.loads(capsys.readouterr().out)["card"])
    assert card.data.license == "mit"
    assert next(one.dataset_name for one in card.data.eval_results) == 'ours: "a"'
    assert main(["card", str(saved), "--dataset", "ours"]) == 2
    assert "--scores" in capsys.readouterr().err


def test_facts_of_other_types_are_left_out() -> None:
    course = {"records": [{"epoch": 1, "m": "x"}], "metric": "m", "best_epoch": 1}
    odd = {"training": course, "warnings": 3, "rows": "x"}
    manifest = bundle.Manifest("nobody", "nothing", {"a|b": "c|\nd"}, odd, {}, "", {})
    text = card_text(manifest, {}, CardWords(sizes={"rows": "rows"}))
    assert r"| `a\|b` | c\| d |" in text
    assert "nothing was measured" in text
    assert MANIFEST not in text


def test_yaml_holds_any_text() -> None:
    document = {"a": 'x: "y"\n#', "b": [{"c": 1, "d": [{"e": None}]}, {"c": 2.5}], "f": ["ü", "- g"]}
    import yaml

    (found,) = yaml.safe_load_all(front_matter(document).removesuffix("---\n"))
    assert found == document
