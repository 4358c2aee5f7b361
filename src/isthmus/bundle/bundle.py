"""Writes and reads bundles, the directories of saved models.

    NAME/
      manifest.json           what it is, and size and SHA-256 of every other file
      weights.safetensors     the model's tensors
      documents/              text files of the adapter: vocabularies, scales, titles
      cache/                  optional: results that could be computed again, such as an index
      README.md               optional: a model card, which is not verified

``write`` builds the directory next to its target, syncs it to disk, and exchanges it with an existing bundle: readers
see either the complete old bundle or the complete new one, and ``read`` starts again if a bundle was replaced
meanwhile. ``read`` does not trust the files: every kind of damage is a ``BundleError``, and nothing is ever executed.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from isthmus.bundle.directory import check_target
from isthmus.bundle.manifest import (
    CACHE,
    CARD,
    DOCUMENTS,
    MANIFEST,
    WEIGHTS,
    Manifest,
    Stamp,
    is_file_name,
    is_identifier,
    peek,
)
from isthmus.bundle.tensors import load_state, save_tensors, state_of
from isthmus.disk import replaced, steadily, told_by_system
from isthmus.errors import BundleError, InputError, IsthmusError, ValueRangeError
from isthmus.reprs import counted, described

__all__ = [
    "Bundle",
    "Manifest",
    "as_damage",
    "check_target",
    "load_state",
    "peek",
    "read",
    "state_of",
    "write",
]

_VERSIONED = ("isthmus", "torch", "numpy", "safetensors")
_DTYPES = (
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
)
_DAMAGE = (
    *(ArithmeticError, AssertionError, AttributeError, IsthmusError, LookupError),
    *(RuntimeError, SafetensorError, TypeError, ValueError),
)


@dataclass(frozen=True, repr=False)
class Bundle:
    """A bundle that was read and verified.

    Attributes:
        manifest: the manifest.
        tensors: the model's state, on the CPU; ``load_state`` copies it into a model.
        documents: the adapter's text files by name.
        cache: cached files by name. Their hashes are verified, but not their contents.
    """

    manifest: Manifest
    tensors: Mapping[str, Tensor]
    documents: Mapping[str, str]
    cache: Mapping[str, bytes]

    def __repr__(self) -> str:
        held = f"{counted(len(self.tensors), 'tensor')} and {counted(len(self.documents), 'document')}"
        return described(self, f"{self.manifest.builder} of {self.manifest.plugin}, {held}")


def write(
    directory: str | Path,
    *,
    plugin: str,
    builder: str,
    settings: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    documents: Mapping[str, str],
    facts: Mapping[str, Any] | None = None,
    cache: Mapping[str, bytes] | None = None,
    card: Callable[[Manifest], str] | None = None,
    durable: bool = True,
) -> Manifest:
    """Save a bundle completely or not at all. An older bundle at this path is replaced.

    Args:
        directory: path of the bundle; missing parents are created.
        plugin: name of the plugin whose commands read the bundle.
        builder: name of the builder of the model, as in Python.
        settings: keywords of the builder, as JSON values.
        tensors: tensors as from ``state_of``: finite and without aliases.
        documents: texts by file name, such as ``items.json``.
        facts: further information, as JSON values.
        cache: files by name that could be computed again.
        card: function that writes the text of the model card; None for no card.
        durable: whether to wait until everything is on disk.

    Returns:
        The manifest.

    Raises:
        InputError: the path exists and is something else; an invalid name; a value that is not JSON; or NaN weights.
        OSError: the disk is full or not writable; the error names ``directory``, and an older bundle is still there.
    """
    members = {f"{DOCUMENTS}/{name}": text.encode() for name, text in documents.items()}
    members |= {f"{CACHE}/{name}": content for name, content in (cache or {}).items()}
    _check_names(plugin, builder, members)
    _check_finite(tensors, ValueRangeError)
    check_target(directory)
    with replaced(directory, durable=durable) as scratch:
        for name, content in members.items():
            (scratch / name).parent.mkdir(exist_ok=True)
            (scratch / name).write_bytes(content)
        save_tensors(tensors, scratch / WEIGHTS)
        files = {name: _stamp(scratch / name) for name in sorted([WEIGHTS, *members])}
        manifest = Manifest(plugin, builder, settings, facts or {}, dict(_versions()), _now(), files)
        (scratch / MANIFEST).write_text(_as_json(manifest), encoding="utf-8")
        if card is not None:
            (scratch / CARD).write_bytes(card(manifest).encode())
    return manifest


def read(directory: str | Path) -> Bundle:
    """Read and verify a bundle: the list of files, their sizes and hashes, and the shapes and values of the tensors.

    Raises:
        BundleError: no bundle at this path, or one that is truncated, altered, foreign or too new.
        OSError, MemoryError: a problem of the system rather than of the bundle.
    """
    return steadily(directory, _read)


def _read(directory: Path) -> Bundle:
    manifest = peek(directory)
    with as_damage(directory):
        _check_files(directory, manifest.files)
        tensors = load_file(directory / WEIGHTS)
        _check_finite(tensors, BundleError)
        documents = {name: content.decode("utf-8") for name, content in _contents(directory, manifest, DOCUMENTS)}
        cache = dict(_contents(directory, manifest, CACHE))
    return Bundle(manifest, tensors, documents, cache)


@contextmanager
def as_damage(directory: str | Path) -> Iterator[None]:
    """Report errors in parsing a bundle's content (vocabularies, settings) as damage of that bundle, except errors of
    the system, such as too little memory or a failing disk.

    Raises:
        BundleError: instead of the errors of parsers and constructors.
        OSError, MemoryError: errors of the system, also where a library converted them to other errors.
    """
    try:
        yield
    except BundleError:
        raise
    except FileNotFoundError as error:
        raise BundleError(f"bundle {str(directory)!r} lost a file while it was read ({error.filename})") from error
    except _DAMAGE as error:
        told = told_by_system(error, directory)
        if told is not None and not isinstance(told, FileNotFoundError):
            raise told from error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BundleError(f"bundle {str(directory)!r} is damaged: {reason}", remedy="save it again") from error


def _check_names(plugin: str, builder: str, members: Mapping[str, bytes]) -> None:
    for name in (plugin, builder):
        if not is_identifier(name):
            raise InputError(f"{name!r} cannot name a plugin or a builder", expected="letters, digits, hyphens")
    for member in members:
        if not is_file_name(member.partition("/")[2]):
            raise InputError(f"{member!r} cannot name a file", expected="letters, digits, dots, hyphens")


def _check_finite(tensors: Mapping[str, Tensor], error: type[IsthmusError]) -> None:
    for name, tensor in tensors.items():
        if tensor.dtype not in _DTYPES:
            raise error(f"tensor {name!r} is of type {tensor.dtype}", expected="floats, integers or booleans")
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise error(f"tensor {name!r} holds NaN or infinite values", expected="finite weights")


def _check_files(directory: Path, files: Mapping[str, Stamp]) -> None:
    found = set(_regular_files(directory, directory)) - {CARD}
    for name in sorted(found ^ {MANIFEST, *files}):
        raise BundleError(
            f"bundle {str(directory)!r} {'has a foreign' if name in found else 'lacks its'} file {name!r}"
        )
    for name, stamp in files.items():
        size = (directory / name).stat().st_size
        if size != stamp.bytes:
            raise BundleError(f"{name!r} has {size:,} bytes", expected=f"{stamp.bytes:,}", remedy="save it again")
        if _stamp(directory / name) != stamp:
            raise BundleError(f"{name!r} was altered: its SHA-256 is another", remedy="save it again")


def _regular_files(directory: Path, folder: Path) -> Iterator[str]:
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False) and folder == directory:
            yield from _regular_files(directory, Path(entry.path))
        elif entry.is_file(follow_symlinks=False):
            yield Path(entry.path).relative_to(directory).as_posix()
        else:
            raise BundleError(f"{entry.path!r} is not a plain file", expected="no links and no deeper folders")


def _contents(directory: Path, manifest: Manifest, folder: str) -> Iterator[tuple[str, bytes]]:
    for name in manifest.files:
        if name.startswith(f"{folder}/"):
            yield name.partition("/")[2], (directory / name).read_bytes()


def _stamp(path: Path) -> Stamp:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Stamp(digest, file.tell())


def _as_json(manifest: Manifest) -> str:
    try:
        return manifest.to_json()
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"settings or facts hold no JSON value ({error})", expected="numbers, text, lists") from None


@cache
def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in _VERSIONED}}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
