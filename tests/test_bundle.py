"""Bundles: what comes back is what was saved; every damage is a BundleError; nothing half-written stays behind."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from isthmus.bundle import bundle
from isthmus.bundle import manifest as manifests
from isthmus.disk import folders
from isthmus.errors import BundleError, InputError, ValueRangeError

MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"


def tensors() -> dict[str, torch.Tensor]:
    return {"table": torch.arange(12.0).reshape(4, 3), "count": torch.tensor(7), "bias": torch.tensor([0.5, -1.0])}


def save(place: Path, **changed: object) -> Path:
    given = {
        "plugin": "interactions",
        "builder": "mult_vae",
        "settings": {"code": 8, "dropout": 0.5},
        "tensors": tensors(),
        "documents": {"items.json": '{"kind": "string", "ids": ["ä", "b"]}'},
        "facts": {"people": 4},
        "cache": {"index": bytes(range(256))},
    }
    bundle.write(place, **{**given, **changed})  # type: ignore[arg-type]
    return place


def edit(place: Path, **changes: object) -> None:
    """Change the manifest, and its digest with it."""
    document = json.loads((place / MANIFEST).read_text())
    (place / MANIFEST).write_text(json.dumps(manifests.sealed({**document, **changes})))


def rehash(place: Path) -> None:
    """Let the manifest vouch for whatever the files hold now."""
    files = {}
    for name in json.loads((place / MANIFEST).read_text())["files"]:
        content = (place / name).read_bytes()
        files[name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    edit(place, files=files)


def put_weights(place: Path, content: bytes) -> None:
    (place / WEIGHTS).write_bytes(content)
    rehash(place)


# --- there and back --------------------------------------------------------------------------------------------------


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    found = bundle.read(save(tmp_path / "a"))
    assert found.tensors.keys() == tensors().keys()
    assert all(torch.equal(found.tensors[name], tensor) for name, tensor in tensors().items())
    assert dict(found.documents) == {"items.json": '{"kind": "string", "ids": ["ä", "b"]}'}
    assert dict(found.cache) == {"index": bytes(range(256))}
    told = found.manifest
    assert (told.plugin, told.builder, told.settings) == ("interactions", "mult_vae", {"code": 8, "dropout": 0.5})
    assert told.facts == {"people": 4}
    assert told.versions["torch"] == torch.__version__.partition("+")[0] or told.versions["torch"] == torch.__version__
    assert bundle.peek(tmp_path / "a") == told


def test_every_file_but_the_manifest_is_stamped(tmp_path: Path) -> None:
    place = save(tmp_path / "a")
    stamps = bundle.peek(place).files
    found = {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}
    assert found == {MANIFEST, *stamps}
    for name, stamp in stamps.items():
        content = (place / name).read_bytes()
        assert (stamp.bytes, stamp.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_missing_parents_are_made_and_an_empty_directory_is_filled(tmp_path: Path) -> None:
    bundle.read(save(tmp_path / "deep" / "er"))
    (tmp_path / "empty").mkdir()
    bundle.read(save(tmp_path / "empty"))


def test_a_link_to_a_bundle_stays_a_link(tmp_path: Path) -> None:
    save(tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    save(tmp_path / "link", builder="mult_dae")
    assert (tmp_path / "link").is_symlink()
    assert bundle.read(tmp_path / "real").manifest.builder == "mult_dae"


# --- whole or not at all ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "step", "before"),
    [
        (OSError("disk full"), "save_tensors", False),
        (OSError("disk full"), "_as_json", True),
        (KeyboardInterrupt(), "save_tensors", True),
        (MemoryError(), "_as_json", False),
    ],
)
def test_a_failure_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException, step: str, before: bool
) -> None:
    if before:
        save(tmp_path / "a")

    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(bundle, step, fail)
    with pytest.raises(type(failure)):
        save(tmp_path / "a", builder="mult_dae")
    assert [path.name for path in tmp_path.iterdir()] == (["a"] if before else [])
    if before:
        assert bundle.read(tmp_path / "a").manifest.builder == "mult_vae"


@pytest.mark.parametrize("fails_at", [1, 2])
def test_a_rename_that_fails_leaves_the_old_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    """Where two names cannot be exchanged in one step, there are two renames."""
    save(tmp_path / "a")
    calls, renamed = [], os.rename

    def rename(source: Path, target: Path) -> None:
        calls.append(source)
        if len(calls) == fails_at:
            raise KeyboardInterrupt
        renamed(source, target)

    monkeypatch.setattr(folders, "exchange", lambda *_: False)
    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path / "a", builder="mult_dae")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert bundle.read(tmp_path / "a").manifest.builder == "mult_vae"


def test_replacing_leaves_one_bundle(tmp_path: Path) -> None:
    save(tmp_path / "a")
    save(tmp_path / "a", builder="mult_dae", cache={})
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert bundle.read(tmp_path / "a").manifest.builder == "mult_dae"
    assert not (tmp_path / "a" / "cache").exists()


def test_a_damaged_bundle_can_be_replaced(tmp_path: Path) -> None:
    place = save(tmp_path / "a")
    (place / WEIGHTS).unlink()
    bundle.read(save(place))


def test_what_is_no_bundle_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").write_text("years")
    (tmp_path / "file").write_text("text")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("thesis", "file", "dangling"):
        with pytest.raises(InputError, match="not an isthmus bundle"):
            save(tmp_path / name)
        with pytest.raises(InputError):
            bundle.check_target(tmp_path / name)
    assert (tmp_path / "thesis" / "chapter").read_text() == "years"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dangling", "file", "thesis"]
    bundle.check_target(tmp_path / "new")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"settings": {"code": {1, 2}}}, "no JSON value"),
        ({"facts": {"loss": float("nan")}}, "no JSON value"),
        ({"plugin": "../x"}, "cannot name"),
        ({"builder": "os.system"}, "cannot name"),
        ({"documents": {"../x": ""}}, "cannot name a file"),
        ({"cache": {"a/b": b""}}, "cannot name a file"),
        ({"tensors": {"w": torch.tensor([1.0, float("nan")])}}, "NaN"),
        ({"tensors": {"w": torch.zeros(2, dtype=torch.complex64)}}, "complex64"),
        ({"tensors": {"w": torch.zeros(3, 2).T}}, "cannot be stored"),
    ],
)
def test_what_cannot_be_saved_is_refused(tmp_path: Path, changed: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        save(tmp_path / "a", **changed)
    assert not list(tmp_path.iterdir())
    assert isinstance(raised.value, ValueRangeError) == ("tensors" in changed and "stored" not in message)


# --- damage ----------------------------------------------------------------------------------------------------------


def test_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for name in ("empty", "file", "missing"):
        with pytest.raises(BundleError, match="saved"):
            bundle.read(tmp_path / name)


NO_MANIFESTS = [
    *("", "{", "[]", "null", "7", '"text"', "[" * 100_000, '{"a":' * 50_000, "9" * 5_000),
    *("NaN", '{"format": NaN}', '{"format": "isthmus-bundle"', '{"format": "other"}', '{"x": "\\ud800"}'),
    *('{"format": "isthmus-bundle"}', '{"format": ["isthmus-bundle"]}'),
]


def refused(place: Path) -> bool:
    try:
        bundle.read(place)
    except BundleError:
        return True
    return False


def test_a_manifest_that_is_none(tmp_path: Path) -> None:
    place, taken = save(tmp_path / "a"), []
    for text in NO_MANIFESTS:
        (place / MANIFEST).write_text(text)
        if not refused(place):
            taken.append(text[:40])
    assert taken == []


def test_a_manifest_that_is_no_text_or_endless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = save(tmp_path / "a")
    monkeypatch.setattr(manifests, "MAX_MANIFEST_BYTES", 100)
    with pytest.raises(BundleError, match="larger than"):
        bundle.read(place)
    (place / MANIFEST).write_bytes(b"\xff\xfe{}")
    with pytest.raises(BundleError, match="not a JSON"):
        bundle.read(place)


def test_other_format_versions(tmp_path: Path) -> None:
    place = save(tmp_path / "a")
    for version in (0, -1, "1", None, True, 1.5, [1]):
        edit(place, format_version=version)
        with pytest.raises(BundleError, match="format"):
            bundle.read(place)
    edit(place, format_version=2)
    with pytest.raises(BundleError, match="newer isthmus"):
        bundle.read(place)


STAMP = {"sha256": "0" * 64, "bytes": 0}


WRONG_FIELDS = [
    *({"plugin": 3}, {"plugin": ""}, {"plugin": "os.system"}, {"plugin": None}, {"builder": "a/b"}),
    *({"settings": []}, {"facts": "x"}, {"versions": {"torch": 2}}, {"created": 3}, {"files": []}, {"files": {}}),
    *({"files": {"../x": STAMP}}, {"files": {"/etc/passwd": STAMP}}, {"files": {"documents/../../x": STAMP}}),
    *({"files": {"documents/.x": STAMP}}, {"files": {"other/x": STAMP}}, {"files": {"documents\\x": STAMP}}),
    *({"files": {WEIGHTS: {}}}, {"files": {WEIGHTS: [1]}}, {"files": {WEIGHTS: {**STAMP, "bytes": -1}}}),
    *({"files": {WEIGHTS: {**STAMP, "bytes": True}}}, {"files": {WEIGHTS: {**STAMP, "sha256": "0" * 63}}}),
    *({"files": {WEIGHTS: {**STAMP, "sha256": None}}}, {"files": {WEIGHTS: {**STAMP, "more": 1}}}),
]


def test_fields_of_wrong_types(tmp_path: Path) -> None:
    place = save(tmp_path / "a")
    whole = (place / MANIFEST).read_text()
    for change in WRONG_FIELDS:
        (place / MANIFEST).write_text(whole)
        edit(place, **change)
        assert refused(place), change
        with pytest.raises(BundleError):
            bundle.peek(place)


def test_missing_fields(tmp_path: Path) -> None:
    place = save(tmp_path / "a")
    whole = json.loads((place / MANIFEST).read_text())
    for name in whole.keys() - {"digest"}:
        rest = {key: value for key, value in whole.items() if key != name}
        for kept in (rest, manifests.sealed(rest)):
            (place / MANIFEST).write_text(json.dumps(kept))
            with pytest.raises(BundleError):
                bundle.read(place)


def test_an_edited_manifest_is_refused(tmp_path: Path) -> None:
    place = save(tmp_path / "a")
    whole = json.loads((place / MANIFEST).read_text())
    changes = ({"facts": {"people": 5}}, {"created": "2020"}, {"more": 1}, {"settings": {"code": 8.0, "dropout": 0.5}})
    for change in changes:
        (place / MANIFEST).write_text(json.dumps({**whole, **change}))
        with pytest.raises(BundleError, match="was edited"):
            bundle.peek(place)
    # Blanks and the order of the entries say nothing.
    (place / MANIFEST).write_text(json.dumps(dict(sorted(whole.items())), indent=7))
    bundle.read(place)


def test_a_manifest_of_before_has_no_digest(tmp_path: Path) -> None:
    place = save(tmp_path / "a")
    whole = json.loads((place / MANIFEST).read_text())
    del whole["digest"]
    (place / MANIFEST).write_text(json.dumps(whole))
    bundle.read(place)
    (place / MANIFEST).write_text(json.dumps({**whole, "digesl": ""}))
    with pytest.raises(BundleError, match="unknown entry 'digesl'"):
        bundle.read(place)


@pytest.mark.parametrize("name", [WEIGHTS, "documents/items.json", "cache/index"])
def test_files_cut_altered_lost_or_linked(tmp_path: Path, name: str) -> None:
    whole = save(tmp_path / "whole")
    content = (whole / name).read_bytes()
    flipped = bytes([content[0] ^ 1]) + content[1:]
    for damage, match in ((content[:-1], "bytes"), (content + b" ", "bytes"), (flipped, "SHA-256")):
        place = Path(shutil.copytree(whole, tmp_path / "copy"))
        (place / name).write_bytes(damage)
        with pytest.raises(BundleError, match=match):
            bundle.read(place)
        (place / name).unlink()
        with pytest.raises(BundleError, match="lacks"):
            bundle.read(place)
        (place / name).symlink_to(whole / name)
        with pytest.raises(BundleError, match="not a plain file"):
            bundle.read(place)
        shutil.rmtree(place)


def test_foreign_files_folders_and_pipes(tmp_path: Path) -> None:
    place = save(tmp_path / "a")
    for name in ("evil.pkl", "documents/more.json"):
        (place / name).write_text("")
        with pytest.raises(BundleError, match="foreign"):
            bundle.read(place)
        (place / name).unlink()
    os.mkfifo(place / "pipe")
    with pytest.raises(BundleError, match="not a plain file"):
        bundle.read(place)
    (place / "pipe").unlink()
    (place / "documents" / "deep").mkdir()
    with pytest.raises(BundleError, match="not a plain file"):
        bundle.read(place)


def header(document: object, data: bytes = b"") -> bytes:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype: str, shape: list[int], start: int, end: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


DAMAGED_WEIGHTS = [
    *(b"", b"\x00" * 7, b"\xff" * 8, b"\xff" * 64, header(b"{"), header([]), header(b"\xff\xfe")),
    (2**62).to_bytes(8, "little") + b"{}",
    header({"w": entry("F32", [2], 0, 8)}),
    header({"w": entry("F32", [2**40, 2**40], 0, 8)}, bytes(8)),
    header({"w": entry("F99", [2], 0, 8)}, bytes(8)),
    header({"w": entry("F32", [-2], 0, 8)}, bytes(8)),
    header({"w": entry("F32", [2], 8, 0)}, bytes(8)),
    header({"a": entry("F32", [2], 0, 8), "b": entry("F32", [2], 4, 12)}, bytes(12)),
    header({"w": entry("F8_E4M3", [8], 0, 8)}, bytes(8)),
    header({"w": entry("F32", [2], 0, 8)}, b"\x00\x00\xc0\x7f" * 2),
    header({"w": entry("F64", [1], 0, 8)}, b"\x00\x00\x00\x00\x00\x00\xf0\xff"),
    b"\x80\x04\x95 a pickle",
]


def test_weights_damaged_under_valid_hashes(tmp_path: Path) -> None:
    for number, content in enumerate(DAMAGED_WEIGHTS):
        place = save(tmp_path / str(number))
        put_weights(place, content)
        assert refused(place), content[:40]


def test_documents_that_are_no_text(tmp_path: Path) -> None:
    place = save(tmp_path / "a")
    (place / "documents" / "items.json").write_bytes(b"\xff\xff")
    rehash(place)
    with pytest.raises(BundleError, match="damaged"):
        bundle.read(place)


@pytest.mark.slow
def test_fuzzed_bundles_are_read_or_refused(tmp_path: Path) -> None:
    whole, place = save(tmp_path / "whole"), tmp_path / "copy"
    names = [MANIFEST, WEIGHTS, "documents/items.json", "cache/index"]
    chance = random.Random(7)
    outcomes = {"read": 0, "refused": 0}
    for round_ in range(400):
        shutil.copytree(whole, place)
        name = chance.choice(names)
        content = bytearray((place / name).read_bytes())
        if chance.random() < 0.3:
            del content[chance.randrange(len(content)) :]
        else:
            for _ in range(chance.choice((1, 1, 4, 32))):
                content[chance.randrange(len(content))] = chance.randrange(256)
        (place / name).write_bytes(content)
        if round_ % 2 and name != MANIFEST:
            rehash(place)
        try:
            bundle.read(place)
            outcomes["read"] += 1
        except BundleError:
            outcomes["refused"] += 1
        shutil.rmtree(place)
    # Flipped digits of a weight under a new hash are another valid bundle; most damage is not.
    assert outcomes["read"] > 20
    assert outcomes["refused"] > 200


def test_nonsense_met_while_understanding_is_damage(tmp_path: Path) -> None:
    for error in (
        KeyError("ids"),
        ValueError("x"),
        RuntimeError("x"),
        RecursionError(),
        InputError("x"),
    ):
        with pytest.raises(BundleError, match="damaged"), bundle.as_damage(tmp_path):
            raise error
    with pytest.raises(BundleError, match="too new"), bundle.as_damage(tmp_path):
        raise BundleError("too new")
    with pytest.raises(PermissionError), bundle.as_damage(tmp_path):
        raise PermissionError


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), MemoryError),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 40 bytes."), MemoryError),
        (SafetensorError("Error while serializing: I/O error: Cannot allocate memory (os error 12)"), MemoryError),
        (RuntimeError("unable to mmap 40 bytes from file </a/b>: Cannot allocate memory (12)"), MemoryError),
        (SafetensorError("Error while deserializing: Too many open files (os error 24)"), OSError),
        (SafetensorError("No such file or directory (os error 2)"), BundleError),
    ],
)
def test_what_the_system_cannot_do_is_no_damage(tmp_path: Path, error: Exception, told: type[Exception]) -> None:
    with pytest.raises(told), bundle.as_damage(tmp_path):
        raise error


def test_a_ctrl_c_is_no_damage(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), bundle.as_damage(tmp_path):
        raise KeyboardInterrupt
