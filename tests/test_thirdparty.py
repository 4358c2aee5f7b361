"""Somebody else's domain: really installed, listed without being imported, and trained through the shared parts."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from isthmus.cli import main

Command = Callable[..., tuple[int, str, str]]
AUDIO = Path(__file__).parent / "thirdparty" / "isthmus_audio"
MOST_LINES = 300
"""A whole domain takes no more than this."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("thirdparty")
    shutil.copytree(AUDIO, folder / "source")
    target = folder / "site"
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(target), str(folder / "source")]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return target


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(site)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "isthmus_audio"]:
        del sys.modules[name]


@pytest.fixture
def isthmus(capsys: pytest.CaptureFixture[str]) -> Command:
    def call(*args: object) -> tuple[int, str, str]:
        code = main([str(arg) for arg in args])
        return code, *capsys.readouterr()

    return call


def record(path: Path, *, click: int | None = None) -> None:
    """Forty frames of a tone that wavers, perhaps with a click in one of them."""
    time = np.arange(40 * 64)
    tone = 0.3 * np.sin(time * (0.2 + 0.02 * np.sin(time / 300)))
    if click is not None:
        tone[click * 64 + 30 : click * 64 + 34] = 1.0
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes((np.clip(tone, -1, 1) * 32767).astype("<i2").tobytes())


def test_a_whole_domain_is_short() -> None:
    files = [path for path in AUDIO.rglob("*") if path.suffix in (".py", ".toml")]
    assert len(files) >= 4
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files) <= MOST_LINES


def listed(isthmus: Command) -> dict[str, tuple[str, str]]:
    told = json.loads(isthmus("adapters", "--json")[1])["adapters"]
    return {said["name"]: (said["distribution"], said["version"]) for said in told}


def test_it_is_listed_beside_ours_without_being_imported(
    isthmus: Command, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = listed(isthmus)
    monkeypatch.syspath_prepend(site)
    assert listed(isthmus) == {**alone, "audio": ("isthmus-audio", "1.2.3")}
    assert "isthmus_audio" not in sys.modules


def test_it_is_trained_saved_and_asked(isthmus: Command, installed: None, tmp_path: Path) -> None:
    record(tmp_path / "tone.wav")
    record(tmp_path / "clicks.wav", click=17)
    code, out, error = isthmus("fit", "audio", tmp_path / "tone.wav", "--out", tmp_path / "a", "--epochs", 40, "--json")
    assert code == 0, error
    document = json.loads(out)
    assert document["frames"] == 40
    assert document["last"] < document["first"]
    assert "epoch 40/40" in error
    told = json.loads(isthmus("info", tmp_path / "a", "--json")[1])
    assert (told["plugin"], told["builder"]) == ("audio", "vanilla")
    _, found, error = isthmus("anomalies", tmp_path / "a", tmp_path / "clicks.wav", "--json")
    assert 17 in json.loads(found)["anomalies"], error


def test_its_mistakes_are_one_line(isthmus: Command, installed: None, tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    code, out, error = isthmus("fit", "audio", tmp_path / "text.wav", "--out", tmp_path / "a")
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert "text.wav" in error
    assert not (tmp_path / "a").exists()


def test_its_absence_is_one_line(isthmus: Command, tmp_path: Path) -> None:
    code, out, error = isthmus("fit", "audio", tmp_path / "text.wav", "--out", tmp_path / "a")
    assert (code, out) == (2, "")
    assert "'audio'" in error


CONTRACTS = """
import numpy as np
from isthmus.testing import AdapterContract, AutoencoderContract, PluginContract
from isthmus_audio import FrameAutoencoder, Frames
from isthmus_audio.plugin import plugin as audio

def waves(count, seed=0):
    chance = np.random.default_rng(seed)
    speed, phase = chance.uniform(0.1, 0.9, (100, 1)), chance.uniform(0, 6, (100, 1))
    return np.sin(speed * np.arange(32) + phase)[:count]

class TestFrames(AdapterContract):
    adapter = audio.adapter
    def records(self):
        return Frames.read(waves(5))
    def foreign(self):
        return Frames.read(np.ones((2, 7)))

class TestFace(AutoencoderContract):
    face = FrameAutoencoder
    settings = {"code": 3, "hidden": 16, "epochs": 3, "batch_size": 16}
    def records(self, count, seed=0):
        return waves(count, seed)
    def foreign(self):
        return np.ones((2, 7))

class TestAudioPlugin(PluginContract):
    plugin = audio

def test_what_only_audio_has():
    model = TestFace().fitted()
    assert model.spectra(waves(4)).shape == (4, 17)
"""


@pytest.mark.slow
def test_it_keeps_the_contracts(site: Path, tmp_path: Path) -> None:
    (tmp_path / "test_audio.py").write_text(CONTRACTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    paths = [str(site), *([os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else [])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert told.returncode == 0, told.stdout
    passed = re.search(r"(\d+) passed", told.stdout)
    assert passed
    assert int(passed[1]) >= 30
