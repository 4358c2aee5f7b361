"""``isthmus models``: one line a model at every width, one model with its settings, and the documents."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from isthmus import plugins
from isthmus.cli import main
from isthmus.models import describe

KINDS = ("contractive", "denoising", "sparse", "vanilla", "variational")


@pytest.fixture(params=[60, 80, 200])
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("COLUMNS", str(request.param))
    return request.param


def shown(capsys: pytest.CaptureFixture[str], *args: str) -> list[str]:
    assert main(["models", *args]) == 0
    return capsys.readouterr().out.splitlines()


def test_the_list_has_one_line_a_model_and_fits(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys)
    assert max(map(len, lines)) <= width
    assert not any("`" in line for line in lines)
    known = {plugins.command_name(name) for plugin in plugins.load_all().values() for name in plugin.builders}
    assert sorted(line.split()[0] for line in lines if line.startswith("  ")) == sorted(known)
    told = next(line for line in lines if line.split()[:1] == ["mult-vae"])
    assert ("Liang et al., WWW 2018" in told) == (width == 200)
    assert (". Many users with dense histories" in told) == (width == 200)


def test_the_kinds_stand_under_the_adapters_that_share_them(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys)
    heading = lines.index("for images, interactions, text and vectors")
    assert tuple(line.split()[0] for line in lines[heading + 1 : heading + 6]) == KINDS


def test_a_page_of_a_model_fits(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("mult-vae", "rec-vae", "variational", "popularity"):
        lines = shown(capsys, name)
        assert max(map(len, lines)) <= width, name
        assert not any("`" in line for line in lines), name
        for setting in describe(name).settings:
            assert any(line.split()[:1] == [setting.name] for line in lines), (name, setting.name)


def test_a_page_tells_the_published_value_and_speaks_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    lines = shown(capsys, "rec_vae")
    gamma = next(line for line in lines if line.startswith("gamma"))
    assert gamma.split()[1] == "0.005"
    assert "Published: 0.005 for MovieLens-20M, 0.0035 for Netflix" in gamma
    page = "\n".join(lines)
    assert "null trains all rounds" in page
    assert "None" not in page


def test_the_document_of_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads("\n".join(shown(capsys, "--json")))["models"]
    pairs = [(model["plugin"], model["name"]) for model in found]
    assert pairs == [
        (owner, plugins.command_name(name))
        for owner, plugin in plugins.load_all().items()
        for name in sorted(plugin.builders)
    ]
    assert next(model for model in found if model["name"] == "ease") == {
        "name": "ease",
        "plugin": "interactions",
        "about": "EASE: a linear autoencoder with a zero diagonal, in closed form",
        "paper": "Steck, WWW 2019",
        "advice": describe("ease").advice,
        "adapters": ["interactions"],
    }


def test_the_document_of_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads("\n".join(shown(capsys, "mult-vae", "--json")))
    assert document == json.loads(json.dumps(asdict(describe("mult-vae"))))


def test_the_models_of_one_adapter(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads("\n".join(shown(capsys, "--adapter", "vectors", "--json")))["models"]
    assert {model["plugin"] for model in found} == {"vectors"}
    assert sorted(model["name"] for model in found) == ["contractive", "denoising", "matryoshka", *KINDS[2:]]
    lines = shown(capsys, "--adapter", "vectors")
    assert not any("mult-vae" in line for line in lines)


def test_unknown_names_are_refused_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "mult-vea"]) == 2
    assert "did you mean 'mult-vae'?" in capsys.readouterr().err
    assert main(["models", "--adapter", "vector"]) == 2
    assert "'vectors'" in capsys.readouterr().err
