"""One import and one loader: faces are found by name without importing the rest, and bundles open as what they were."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from plugging import Announce, announce

import isthmus
from isthmus import bundle, plugins
from isthmus.errors import (
    BundleError,
    MissingLibraryError,
    MissingPluginError,
    NameClashError,
    PluginError,
    SettingError,
)
from isthmus.faces import HOMES
from isthmus.index import Index
from isthmus.training.run import Run
from isthmus_images import ImageAutoencoder
from isthmus_interactions import Recommender
from isthmus_text import TextAutoencoder
from isthmus_vectors import Compressor, Detector, VectorAutoencoder

__all__ = ["announce"]

OLD = Path(__file__).parent / "data" / "bundles-0.1"
FACES = {
    "images": ImageAutoencoder,
    "index": Index,
    "interactions": Recommender,
    "text": TextAutoencoder,
    "vectors": VectorAutoencoder,
    "vectors-compressor": Compressor,
    "vectors-detector": Detector,
}
LETTERS = """
from isthmus.protocols import Plugin

class Alphabet:
    def save(self, path): ...
    @classmethod
    def load(cls, path):
        return cls()

class Novel(Alphabet): ...

FACES = {"Alphabet": Alphabet, "Novel": Novel}
plugin = Plugin(type("Adapter", (), {}), faces=FACES, face_for=lambda builder, facts: facts["of"])
"""


def in_a_new_process(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def relabelled(folder: Path, **changes: object) -> Path:
    """An old bundle whose manifest says something else."""
    manifest = json.loads((OLD / "vectors-vanilla" / "manifest.json").read_text(encoding="utf-8"))
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({**manifest, **changes}), encoding="utf-8")
    return folder


def test_every_old_bundle_opens_as_what_it_was_saved_by() -> None:
    saved = sorted(path for path in OLD.iterdir() if path.is_dir())
    expected = {path.name: FACES.get(path.name, FACES[path.name.partition("-")[0]]).__name__ for path in saved}
    assert {path.name: type(isthmus.load(path)).__name__ for path in saved} == expected
    assert set(expected.values()) == {face.__name__ for face in FACES.values()}


def test_an_autoencoder_of_the_compressors_builder_is_none(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    model = VectorAutoencoder.fit(rows, "matryoshka", bytes=2, code=4, hidden=8, epochs=1, run=Run(device="cpu"))
    model.save(tmp_path / "model")
    assert bundle.peek(tmp_path / "model").builder == bundle.peek(OLD / "vectors-compressor").builder
    loaded = isthmus.load(str(tmp_path / "model"))
    assert isinstance(loaded, VectorAutoencoder)
    np.testing.assert_array_equal(loaded.encode(rows[:5]), model.encode(rows[:5]))


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "manifest.json").write_text('{"format": "another"}')
    for name in ("absent", "file", "foreign", "."):
        with pytest.raises(BundleError, match=name):
            isthmus.load(tmp_path / name)
    with pytest.raises(BundleError, match="damaged"):
        isthmus.load(relabelled(tmp_path / "damaged"))
    with pytest.raises(BundleError, match=r"weights\.safetensors"):
        isthmus.load(relabelled(tmp_path / "index", plugin="index", builder="index"))


def test_a_bundle_of_an_absent_plugin_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingPluginError, match=r"strange.*'smells'"):
        isthmus.load(relabelled(tmp_path / "strange", plugin="smells"))
    monkeypatch.setattr(plugins, "_announced", dict)
    with pytest.raises(MissingPluginError, match="'vectors'") as raised:
        isthmus.load(OLD / "vectors-vanilla")
    assert raised.value.remedy == 'pip install --upgrade "isthmus[vectors]"'


def test_importing_it_imports_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "faiss", "pyarrow", "typer", *(f"isthmus_{name}" for name in plugins.FIRST_PARTY))
    code = (
        "import sys, isthmus; from isthmus import load; dir(isthmus), hasattr(isthmus, 'recommender')\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    assert in_a_new_process(code) == "[]"


def test_a_face_imports_its_own_plugin_only() -> None:
    code = (
        "import sys; from isthmus import Recommender; print(Recommender.__module__)\n"
        "print([name for name in ('isthmus_images', 'isthmus_text', 'isthmus_vectors') if name in sys.modules])"
    )
    assert in_a_new_process(code).splitlines() == ["isthmus_interactions.recommender", "[]"]


def test_every_face_is_listed_and_found() -> None:
    found = {name: getattr(isthmus, name) for name in dir(isthmus) if name[0].isupper()}
    assert found == {face.__name__: face for face in FACES.values()}
    announced = {name: owner for owner in plugins.FIRST_PARTY for name in plugins.load(owner).faces}
    assert announced == HOMES


@pytest.mark.parametrize("name", ["Recomender", "recommender", "_private"])
def test_other_names_are_no_attributes(name: str) -> None:
    with pytest.raises(AttributeError, match=name):
        getattr(isthmus, name)


def test_a_missing_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['tokenizers'] = None\n"
        "import isthmus\nfrom isthmus.errors import MissingLibraryError\n"
        "try:\n    from isthmus import TextAutoencoder\nexcept MissingLibraryError as error:\n    print(error.remedy)"
    )
    assert in_a_new_process(code) == 'pip install "isthmus[text]"'


def test_a_missing_library_is_named_for_a_bundle(announce: Announce, tmp_path: Path) -> None:
    announce("letters", "import absent_library\nplugin = 1")
    with pytest.raises(MissingLibraryError, match="'absent_library'"):
        isthmus.load(relabelled(tmp_path / "a", plugin="letters"))


def test_somebody_elses_faces_are_found_likewise(announce: Announce, tmp_path: Path) -> None:
    announce("letters", LETTERS)
    assert isthmus.Novel.__name__ == "Novel"
    novel = isthmus.load(relabelled(tmp_path / "novel", plugin="letters", facts={"of": "Novel"}))
    assert type(novel) is isthmus.Novel
    with pytest.raises(BundleError, match="damaged"):
        isthmus.load(relabelled(tmp_path / "damaged", plugin="letters", facts={}))
    with pytest.raises(PluginError, match=r"letters.* 'Poem'.*Alphabet, Novel"):
        isthmus.load(relabelled(tmp_path / "poem", plugin="letters", facts={"of": "Poem"}))
    announce("novels", LETTERS, "novels")
    with pytest.raises(NameClashError, match="letters, novels"):
        isthmus.Novel  # noqa: B018


def test_a_plugin_without_faces_says_so(announce: Announce, tmp_path: Path) -> None:
    announce("letters")
    with pytest.raises(PluginError, match=r"letters.*no face"):
        isthmus.load(relabelled(tmp_path / "a", plugin="letters"))


@pytest.mark.parametrize(
    "name", ["images-vanilla", "index", "interactions-ease", "vectors-compressor", "vectors-detector"]
)
def test_a_bundle_is_loaded_where_it_is_asked_for(name: str) -> None:
    expected = FACES.get(name, FACES[name.partition("-")[0]])
    assert isinstance(isthmus.load(OLD / name, device="cpu"), expected)
    with pytest.raises(SettingError, match="device"):
        isthmus.load(OLD / name, device="cuda:99")
