"""Somebody else's adapter: really installed, listed without being imported, and trained through the same cores."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOY = Path(__file__).parent / "thirdparty" / "isthmus_toy"
WORDS = ["+-+-+-", "------", "++++++", "000+++", "+00-00"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("thirdparty")
    shutil.copytree(TOY, folder / "source")
    target = folder / "site"
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(target), str(folder / "source")]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return target


def isthmus(site: Path | None, *args: object) -> subprocess.CompletedProcess[str]:
    # One thread: the steps are tiny, and other tests may be running.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **({"PYTHONPATH": str(site)} if site else {})}
    command = [sys.executable, "-c", "import sys; from isthmus.cli import main; sys.exit(main())", *map(str, args)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_it_is_listed_beside_ours(site: Path) -> None:
    told = json.loads(isthmus(site, "adapters", "--json").stdout)["adapters"]
    assert {said["name"]: (said["distribution"], said["version"]) for said in told}["ternary"] == (
        "isthmus-toy",
        "1.2.3",
    )
    alone = json.loads(isthmus(None, "adapters", "--json").stdout)["adapters"]
    assert [said["name"] for said in alone] == [said["name"] for said in told if said["name"] != "ternary"]


def test_it_is_trained_saved_and_asked(site: Path, tmp_path: Path) -> None:
    (tmp_path / "words").write_text("\n".join(WORDS * 8))
    fitted = isthmus(site, "fit", "ternary", tmp_path / "words", "--out", tmp_path / "a", "--epochs", 150, "--json")
    assert fitted.returncode == 0, fitted.stderr
    document = json.loads(fitted.stdout)
    assert document["last"] < document["first"] / 2
    assert "epoch 150/150" in fitted.stderr
    told = json.loads(isthmus(site, "info", tmp_path / "a", "--json").stdout)
    assert (told["plugin"], told["builder"], told["settings"]) == ("ternary", "ternary_vae", {"epochs": 150})
    asked = isthmus(site, "repair", tmp_path / "a", "+++0++", "--json")
    assert json.loads(asked.stdout) == {"given": "+++0++", "meant": "++++++"}, asked.stderr


def test_its_mistakes_and_its_absence_are_one_line(site: Path, tmp_path: Path) -> None:
    (tmp_path / "words").write_text("+-+\n+?+")
    wrong = isthmus(site, "fit", "ternary", tmp_path / "words", "--out", tmp_path / "a")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == "isthmus: line 2 is '+?+'; expected 3 of - 0 +\n"
    assert not (tmp_path / "a").exists()
    absent = isthmus(None, "fit", "ternary", tmp_path / "words", "--out", tmp_path / "a")
    assert (absent.returncode, absent.stdout) == (2, "")
    assert "no plugin 'ternary' is installed" in absent.stderr


def test_it_keeps_the_contracts(site: Path, tmp_path: Path) -> None:
    (tmp_path / "words").write_text("\n".join(WORDS))
    (tmp_path / "wider").write_text("+-+-+-+-")
    test = f"""
from isthmus.testing.adapter import AdapterContract
from isthmus.testing.plugin import PluginContract
from isthmus_toy.plugin import plugin as toy

class TestTernary(AdapterContract):
    adapter = toy.adapter
    def records(self):
        return self.adapter.read({str(tmp_path / "words")!r})
    def foreign(self):
        return self.adapter.read({str(tmp_path / "wider")!r})

class TestTernaryPlugin(PluginContract):
    plugin = toy
"""
    (tmp_path / "test_toy.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(site)}
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert told.returncode == 0, told.stdout
    assert "13 passed" in told.stdout
