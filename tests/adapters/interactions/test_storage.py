"""A saved recommender answers as it did; a damaged one is a typed error and costs no memory."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from planted import default, planted, trained
from safetensors.torch import load_file, save_file

from isthmus.bundle.manifest import CARD, sealed
from isthmus.errors import BundleError
from isthmus_interactions import Recommender
from isthmus_interactions.splits import hide

BUILDERS = ("mult_vae", "mult_dae", "rec_vae", "ease", "edlae", "rdlae", "sparse_linear", "elsa", "low_pass")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("saved")
    for name in BUILDERS:
        default(name).save(folder / name)
    return {name: folder / name for name in BUILDERS}


@pytest.fixture
def bundle(bundles: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundles["mult_vae"], tmp_path / "bundle"))


Fresh = Callable[[], Path]


@pytest.fixture
def fresh(bundles: dict[str, Path], tmp_path: Path) -> Fresh:
    """An unharmed copy at each call."""
    numbers = count()
    return lambda: Path(shutil.copytree(bundles["mult_vae"], tmp_path / str(next(numbers))))


def changed_tensor(tensors: dict[str, torch.Tensor], name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    tensors[name] = change(tensors[name]).contiguous()


HISTORY = [[0, 10], [], [999, 80]]
FOLD = hide(planted(30, seed=4), 0.2, np.random.default_rng(0))


@pytest.mark.slow
def test_every_answer_survives_a_round_trip(
    subtests: pytest.Subtests, bundles: dict[str, Path], tmp_path: Path
) -> None:
    for builder in BUILDERS:
        with subtests.test(builder=builder):
            before, after = default(builder), Recommender.load(bundles[builder])
            asked: list[Callable[[Recommender], Any]] = [
                lambda r: r.recommend(HISTORY, 7),
                lambda r: r.recommend_users([1003, 1001], 7),
                lambda r: r.score(HISTORY, [0, 230]).tolist(),
                lambda r: r.similar_items([0, 50], 5),
                lambda r: r.similar_users(HISTORY, 5),
                lambda r: r.explain([0, 10, 80], 20),
                lambda r: r.evaluate(FOLD, ["ndcg@5"]).means,
                lambda r: (r.builder, dict(r.settings), dict(r.titles), r.history, r.adapter.state()),
                lambda r: r.recommend_all(tmp_path / "x.parquet", 2),
            ]
            for ask in asked:
                assert ask(after) == ask(before)
            assert not after.model.training


def test_titles_and_text_ids_survive(tmp_path: Path) -> None:
    recommender = trained("ease", planted(names="x"), titles={"xi0": "Zero \N{SNOWMAN}", "other": "gone"})
    recommender.save(tmp_path / "b")
    again = Recommender.load(tmp_path / "b")
    assert again.titles == {"xi0": "Zero \N{SNOWMAN}"}
    assert again.recommend([["xi0"]]) == recommender.recommend([["xi0"]])


def test_titles_may_have_numpy_ids(tmp_path: Path) -> None:
    recommender = trained("ease", titles={np.int64(10): "Ten"})
    recommender.save(tmp_path / "b")
    assert Recommender.load(tmp_path / "b").titles == {10: "Ten"}


def test_all_settings_are_saved_so_that_other_defaults_change_nothing(bundle: Path) -> None:
    settings = json.loads((bundle / "manifest.json").read_text())["settings"]
    assert settings["hidden"] == 24
    assert settings["dropout"] == 0.5


# --- damage ----------------------------------------------------------------------------------------------------------


def members(bundle: Path) -> list[Path]:
    """All files that are verified: people may edit the model card."""
    return sorted(path for path in bundle.rglob("*") if path.is_file() and path.name != CARD)


def restamp(bundle: Path) -> None:
    """Recompute every hash, as somebody would who wants the damage to pass."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    for name in manifest["files"]:
        content = (bundle / name).read_bytes()
        manifest["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    (bundle / "manifest.json").write_text(json.dumps(sealed(manifest)))


def change_manifest(bundle: Path, **changes: Any) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps(sealed({**manifest, **changes})))


def change_settings(bundle: Path, **changes: Any) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    change_manifest(bundle, settings={**manifest["settings"], **changes})


def change_tensors(bundle: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(bundle / "weights.safetensors")
    change(tensors)
    save_file(tensors, bundle / "weights.safetensors")
    restamp(bundle)


def test_truncated_or_altered_anywhere(bundle: Path, bundles: dict[str, Path]) -> None:
    for member in members(bundle):
        whole = member.read_bytes()
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 0x55]) + whole[middle + 1 :]
        for damaged in (b"", whole[:middle], whole[:-1], whole + b"x", flipped):
            member.write_bytes(damaged)
            if (member.name, damaged) == ("manifest.json", whole[:-1]):
                # The end of its last line.
                continue
            with pytest.raises(BundleError):
                Recommender.load(bundle)
        member.write_bytes(whole)
    Recommender.load(bundle)


def test_settings_that_make_another_model(subtests: pytest.Subtests, fresh: Fresh) -> None:
    for settings in [
        {"code": 10**12},
        {"hidden": 10**12},
        {"code": -1},
        {"code": 9},
        {"code": "8"},
        {"code": [8]},
        {"code": None},
        {"code": 1e300},
        {"nonsense": 1},
        {"signal": 3},
        {"generator": 1},
        {"dropout": 5},
        {"epochs": 0},
    ]:
        with subtests.test(settings=settings):
            bundle = fresh()
            change_settings(bundle, **settings)
            with pytest.raises(BundleError):
                Recommender.load(bundle)


def test_huge_settings_without_tensors(bundle: Path) -> None:
    change_settings(bundle, code=10**12)
    change_tensors(bundle, lambda t: [t.pop(name) for name in list(t) if name.startswith("model.")])
    with pytest.raises(BundleError, match="missing"):
        Recommender.load(bundle)


def test_foreign_manifests(subtests: pytest.Subtests, fresh: Fresh) -> None:
    for changes, said in [
        ({"plugin": "letters"}, "letters"),
        ({"builder": "nobody"}, "nobody"),
        ({"builder": "ease"}, "ease|shape|setting|damaged"),
        ({"format_version": 99}, "99"),
        ({"facts": {}}, "training"),
        ({"facts": {"training": 3}}, "damaged"),
        ({"facts": {"training": {"what": 1}}}, "what"),
    ]:
        with subtests.test(changes=changes, said=said):
            bundle = fresh()
            change_manifest(bundle, **changes)
            with pytest.raises(BundleError, match=said):
                Recommender.load(bundle)


def test_nonsense_vocabularies(subtests: pytest.Subtests, fresh: Fresh) -> None:
    for name in ["items.json", "users.json"]:
        for text in [
            "",
            "[]",
            "3",
            '{"kind": "int64"}',
            '{"kind": "int64", "ids": []}',
            '{"kind": "int64", "ids": [1, 1]}',
            '{"kind": "string", "ids": [1, 2]}',
            '{"kind": "int64", "ids": [1.5]}',
            '{"kind": "int64", "ids": [99999999999999999999]}',
            "[" * 100_000,
        ]:
            with subtests.test(name=name, text=text):
                bundle = fresh()
                (bundle / "documents" / name).write_text(text)
                restamp(bundle)
                with pytest.raises(BundleError):
                    Recommender.load(bundle)


def test_nonsense_titles(subtests: pytest.Subtests, tmp_path: Path) -> None:
    for text in ["", "3", "[1]", '[["a"]]', "[[1, 2]]", '[[[1], "x"]]', '{"a": 1}', "[" * 100_000]:
        with subtests.test(text=text):
            trained("ease", titles={10: "Ten"}).save(tmp_path / "b")
            (tmp_path / "b" / "documents" / "titles.json").write_text(text)
            restamp(tmp_path / "b")
            with pytest.raises(BundleError):
                Recommender.load(tmp_path / "b")


def test_nonsense_tensors(subtests: pytest.Subtests, fresh: Fresh) -> None:
    for name, change in [
        ("told.offsets", lambda t: t - 1),
        ("told.offsets", lambda t: t[:-1]),
        ("told.offsets", lambda t: t.flip(0)),
        ("told.offsets", lambda t: t * 10**12),
        ("told.offsets", lambda t: t.int()),
        ("told.offsets", lambda t: t.reshape(1, -1)),
        ("told.items", lambda t: t - 1),
        ("told.items", lambda t: t + 10**6),
        ("told.items", lambda t: t * 0),
        ("told.items", lambda t: t.flip(0)),
        ("told.items", lambda t: t[:-1]),
        ("told.values", lambda t: t * 0),
        ("told.values", lambda t: -t),
        ("told.values", lambda t: t / 0),
        ("told.values", lambda t: t.double()),
        ("told.values", lambda t: t[:3]),
        ("model.readout.weight", lambda t: t[:-1]),
        ("model.readout.weight", lambda t: t.double()),
        ("model.readout.weight", lambda t: t * float("nan")),
        ("model.readout.bias", lambda t: t.reshape(1, -1)),
    ]:
        with subtests.test(name=name, change=change):
            bundle = fresh()
            change_tensors(bundle, partial(changed_tensor, name=name, change=change))
            with pytest.raises(BundleError):
                Recommender.load(bundle)


@pytest.mark.parametrize("name", ["told.offsets", "told.values", "model.readout.bias"])
def test_missing_and_foreign_tensors(bundle: Path, name: str) -> None:
    change_tensors(bundle, lambda t: t.update({"model.extra": torch.ones(1)}))
    with pytest.raises(BundleError, match="extra"):
        Recommender.load(bundle)
    change_tensors(bundle, lambda t: [t.pop("model.extra"), t.pop(name)])
    with pytest.raises(BundleError, match=name.removeprefix("model.")):
        Recommender.load(bundle)


def test_facts_of_old_bundles_have_the_names_of_today() -> None:
    facts = Recommender.load(Path(__file__).parents[2] / "data" / "bundles-0.1" / "interactions-ease").facts
    assert (facts["users"], facts["items"], facts["validation_users"]) == (90, 24, 9)
    assert "people" not in facts
