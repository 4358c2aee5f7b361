"""Bundles to a stand-in of the hub and back, by the real client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import huggingface_hub.constants
import numpy as np
import pytest
from hub_stand_in import Hub, running
from tiny_faces import numbers

import isthmus
from isthmus import hub
from isthmus.bundle.manifest import CARD, MANIFEST
from isthmus.errors import BundleError, InputError, SettingError, SourceError

REPO = "name/shop"


@pytest.fixture(scope="module")
def model() -> Any:
    return isthmus.VectorAutoencoder.fit(numbers(60), code=2, hidden=8, epochs=1, progress=False)


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Hub, Any]]:
    """The stand-in, and a client whose cache is empty."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with running() as stand_in:
        yield stand_in, huggingface_hub.HfApi(endpoint=stand_in.address, token=False)


def test_there_and_back(there: tuple[Hub, Any], model: Any, tmp_path: Path) -> None:
    stand_in, api = there
    commit = hub.push(model, REPO, api=api)
    assert commit.startswith(stand_in.address)
    assert stand_in.private == {REPO: True}
    assert {MANIFEST, CARD, "weights.safetensors", "notes.txt"} <= set(stand_in.commits[REPO][-1])
    found = hub.pull(REPO, api=api)
    np.testing.assert_array_equal(found.encode(numbers(5)), model.encode(numbers(5)))
    # Nothing but the bundle is downloaded.
    assert not {"notes.txt", ".gitattributes"} & set(stand_in.asked)
    again = hub.pull(REPO, path=tmp_path / "kept", api=api)
    assert isthmus.load(tmp_path / "kept").builder == again.builder
    assert (tmp_path / "kept" / CARD).read_bytes() == stand_in.commits[REPO][-1][CARD]


def test_an_older_bundle_is_replaced_and_stays_in_its_commit(
    there: tuple[Hub, Any], model: Any, tmp_path: Path
) -> None:
    stand_in, api = there
    other = isthmus.Detector.fit(numbers(60), epochs=1, progress=False)
    other.save(tmp_path / "a")
    first = hub.push(tmp_path / "a", REPO, private=False, api=api)
    stand_in.commits[REPO][-1][CARD] = b"mine"
    hub.push(model, REPO, card=False, api=api)
    assert stand_in.private == {REPO: False}
    assert stand_in.commits[REPO][-1][CARD] == b"mine"
    assert isinstance(hub.pull(REPO, api=api), type(model))
    assert isinstance(hub.pull(REPO, revision=first.rpartition("/")[2], api=api), type(other))


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("weights.safetensors", b"altered", "bytes"),
        ("documents/scaling.json", None, "EntryNotFound|refuses"),
        (MANIFEST, b"{}", "not the manifest"),
        (MANIFEST, None, "refuses"),
    ],
)
def test_what_is_not_what_the_manifest_says_is_refused(
    there: tuple[Hub, Any], model: Any, tmp_path: Path, name: str, content: bytes | None, told: str
) -> None:
    stand_in, api = there
    hub.push(model, REPO, api=api)
    files = stand_in.commits[REPO][-1]
    del files[name]
    if content is not None:
        files[name] = content
    with pytest.raises((BundleError, SourceError), match=told):
        hub.pull(REPO, path=tmp_path / "kept", api=api)
    assert not (tmp_path / "kept").exists()


def test_what_cannot_be_is_refused(there: tuple[Hub, Any], model: Any, tmp_path: Path) -> None:
    stand_in, api = there
    for call in (hub.pull, lambda repo, api: hub.push(model, repo, api=api)):
        with pytest.raises(SettingError, match="repo="):
            call("shop", api=api)
    with pytest.raises(SourceError, match="nobody/nothing"):
        hub.pull("nobody/nothing", api=api)
    model.save(tmp_path / "a")
    (tmp_path / "a" / "weights.safetensors").write_bytes(b"")
    with pytest.raises(BundleError):
        hub.push(tmp_path / "a", REPO, api=api)
    assert stand_in.commits == {}
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine").write_text("kept")
    hub.push(model, REPO, api=api)
    with pytest.raises(SourceError, match="refuses"):
        hub.pull(REPO, revision="nowhere", api=api)
    with pytest.raises(InputError, match="not an isthmus bundle"):
        hub.pull(REPO, path=tmp_path / "b", api=api)
    with pytest.raises(SettingError, match="to push"):
        hub.push(3, REPO, api=api)
