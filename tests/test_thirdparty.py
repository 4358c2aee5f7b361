"""Somebody else's domain: really installed, listed without being imported, and trained through the shared parts."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

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


def isthmus(site: Path | None, *args: object) -> subprocess.CompletedProcess[str]:
    # One thread: the steps are tiny, and other tests may be running.
    paths = [str(site)] if site else []
    paths += [os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-c", "import sys; from isthmus.cli import main; sys.exit(main())", *map(str, args)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


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


def test_it_is_listed_beside_ours(site: Path) -> None:
    told = json.loads(isthmus(site, "adapters", "--json").stdout)["adapters"]
    by_name = {said["name"]: (said["distribution"], said["version"]) for said in told}
    assert by_name["audio"] == ("isthmus-audio", "1.2.3")
    alone = json.loads(isthmus(None, "adapters", "--json").stdout)["adapters"]
    assert [said["name"] for said in alone] == [said["name"] for said in told if said["name"] != "audio"]


def test_it_is_trained_saved_and_asked(site: Path, tmp_path: Path) -> None:
    record(tmp_path / "tone.wav")
    record(tmp_path / "clicks.wav", click=17)
    command = ("fit", "audio", tmp_path / "tone.wav", "--out", tmp_path / "a", "--epochs", 40, "--json")
    fitted = isthmus(site, *command)
    assert fitted.returncode == 0, fitted.stderr
    document = json.loads(fitted.stdout)
    assert document["frames"] == 40
    assert document["last"] < document["first"]
    assert "epoch 40/40" in fitted.stderr
    told = json.loads(isthmus(site, "info", tmp_path / "a", "--json").stdout)
    assert (told["plugin"], told["builder"]) == ("audio", "vanilla")
    asked = isthmus(site, "anomalies", tmp_path / "a", tmp_path / "clicks.wav", "--json")
    assert 17 in json.loads(asked.stdout)["anomalies"], asked.stderr


def test_its_mistakes_and_its_absence_are_one_line(site: Path, tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    wrong = isthmus(site, "fit", "audio", tmp_path / "text.wav", "--out", tmp_path / "a")
    assert (wrong.returncode, wrong.stdout, wrong.stderr.count("\n")) == (2, "", 1)
    assert "text.wav" in wrong.stderr
    assert not (tmp_path / "a").exists()
    absent = isthmus(None, "fit", "audio", tmp_path / "text.wav", "--out", tmp_path / "a")
    assert (absent.returncode, absent.stdout) == (2, "")
    assert "'audio'" in absent.stderr


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
