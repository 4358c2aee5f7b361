"""The manifest of a bundle, which describes its content. Reading it imports nothing heavy and executes nothing.

A manifest is one JSON object. Its names are looked up among installed plugins, never imported by path, and its file
names are relative to the bundle, so that no manifest can point anywhere else. Its last entry is the SHA-256 of all
other entries, so an edited manifest is rejected. Bundles of version 0.1 have no such entry.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from isthmus.bundle.renamed_settings import current
from isthmus.disk import steadily
from isthmus.errors import BundleError
from isthmus.reprs import counted, described

FORMAT = "isthmus-bundle"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
DOCUMENTS = "documents"
CACHE = "cache"
CARD = "README.md"
"""For people, who may edit it: it is neither listed in the manifest nor verified nor read when a bundle is loaded."""

DIGEST = "digest"
MAX_MANIFEST_BYTES = 16 * 2**20

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")
_ENTRIES = ("format", "plugin", "builder", "settings", "facts", "versions", "created", "files", "format_version")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Stamp:
    """The expected SHA-256 (hexadecimal) and size in bytes of a file."""

    sha256: str
    bytes: int


@dataclass(frozen=True, repr=False)
class Manifest:
    """The description of a bundle.

    Attributes:
        plugin: name of the plugin whose commands read the bundle.
        builder: name of the builder of the model, as in Python.
        settings: keywords of the builder.
        facts: further information (sizes, metrics), as JSON values.
        versions: versions of Python and of the libraries that wrote the bundle.
        created: time of creation, ISO 8601 in UTC.
        files: every other file of the bundle by its relative path.
        format_version: version of the directory layout.
    """

    plugin: str
    builder: str
    settings: Mapping[str, Any]
    facts: Mapping[str, Any]
    versions: Mapping[str, str]
    created: str
    files: Mapping[str, Stamp]
    format_version: int = FORMAT_VERSION

    def __repr__(self) -> str:
        return described(self, f"{self.builder} of {self.plugin}, {counted(len(self.files), 'file')}, {self.created}")

    def to_json(self) -> str:
        """The text of ``manifest.json``.

        Raises:
            TypeError, ValueError: a setting or a fact that is not a JSON value.
        """
        text = json.dumps({"format": FORMAT, **asdict(self)}, ensure_ascii=False, allow_nan=False)
        return json.dumps(sealed(json.loads(text)), indent=2, ensure_ascii=False) + "\n"


def sealed(document: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest as a JSON document, with the digest of its entries added as the last one."""
    entries = {name: value for name, value in document.items() if name != DIGEST}
    return {**entries, DIGEST: _digest(entries)}


def _digest(entries: Mapping[str, Any]) -> str:
    """The SHA-256 of JSON values, independent of their order and of whitespace."""
    text = json.dumps(entries, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def is_file_name(name: str) -> bool:
    """Whether a document or a cached file may have this name: no folders, no leading dot, at most 100 characters."""
    return _NAME.fullmatch(name) is not None


def is_identifier(name: str) -> bool:
    """Whether a plugin or a builder may have this name."""
    return _IDENTIFIER.fullmatch(name) is not None


def looks_like_bundle(directory: Path) -> bool:
    """Whether the directory has the manifest of an isthmus bundle, even if it is otherwise damaged."""
    try:
        document = steadily(directory, lambda place: _json(place / MANIFEST))
    except (BundleError, OSError):
        return False
    return isinstance(document, dict) and document.get("format") == FORMAT


def peek(directory: str | Path) -> Manifest:
    """Read the manifest alone, without checking the files that it names.

    Raises:
        BundleError: no bundle there, or one whose manifest is damaged, foreign or too new.
    """
    return steadily(directory, _peeked)


def _peeked(directory: Path) -> Manifest:
    path = directory / MANIFEST
    if not path.is_file() or path.is_symlink():
        what = "has no manifest.json" if directory.is_dir() else "is not a directory"
        if not os.path.lexists(directory):
            what = "does not exist"
        raise BundleError(f"{str(directory)!r} {what}", expected="a directory that isthmus saved")
    return _parse(_json(path), path)


def _json(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_MANIFEST_BYTES + 1)
        if len(content) > MAX_MANIFEST_BYTES:
            raise BundleError(f"{str(path)!r} is larger than {MAX_MANIFEST_BYTES:,} bytes", expected="a manifest")
        document = json.loads(content.decode("utf-8"), parse_constant=_no_constant)
        # A lone surrogate parses, but can be neither printed nor written again.
        json.dumps(document, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise BundleError(
            f"{str(path)!r} is not a JSON document ({type(error).__name__})", expected="a manifest"
        ) from None
    return document


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")


def _parse(document: Any, path: Path) -> Manifest:
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise BundleError(f"{str(path)!r} is not the manifest of an isthmus bundle", expected=f'"format": "{FORMAT}"')
    version = document.get("format_version")
    if version != FORMAT_VERSION or isinstance(version, bool):
        remedy = "install a newer isthmus" if isinstance(version, int) and version > FORMAT_VERSION else "save it again"
        raise BundleError(f"bundle format {version!r}", expected=f"format {FORMAT_VERSION}", remedy=remedy)
    if DIGEST in document and document != sealed(document):
        raise BundleError(f"{str(path)!r} was edited: its digest is another", remedy="save the bundle again")
    wrong = next(_wrong_fields(document), None)
    if wrong is not None:
        raise BundleError(f"{str(path)!r}: {wrong}", remedy="the bundle is damaged: save it again")
    fields = {name: document[name] for name in ("plugin", "builder", "settings", "facts", "versions", "created")}
    fields["settings"] = current(fields["builder"], fields["settings"])
    files = {name: Stamp(entry["sha256"], entry["bytes"]) for name, entry in document["files"].items()}
    return Manifest(**fields, files=files)


def _wrong_fields(document: dict[str, Any]) -> Iterator[str]:
    for name in document.keys() - {*_ENTRIES, DIGEST}:
        yield f"an unknown entry {name!r}"
    for name in ("plugin", "builder"):
        if not isinstance(document.get(name), str) or not is_identifier(document[name]):
            yield f"{name} is not a name"
    for name in ("settings", "facts", "versions", "files"):
        if not isinstance(document.get(name), dict):
            yield f"{name} is not an object"
            return
    if not isinstance(document.get("created"), str):
        yield "created is not text"
    if not all(isinstance(version, str) for version in document["versions"].values()):
        yield "versions are not all text"
    for name, entry in document["files"].items():
        if not _is_member(name):
            yield f"a file cannot be called {name!r}"
        if not _is_stamp(entry):
            yield f"size or SHA-256 of {name!r} is missing"
    if WEIGHTS not in document["files"]:
        yield f"{WEIGHTS} is not listed"


def _is_member(name: str) -> bool:
    folder, _, last = name.rpartition("/")
    return name == WEIGHTS or (folder in (DOCUMENTS, CACHE) and is_file_name(last))


def _is_stamp(entry: Any) -> bool:
    if not isinstance(entry, dict) or set(entry) != {"sha256", "bytes"}:
        return False
    digest, size = entry["sha256"], entry["bytes"]
    return isinstance(digest, str) and _SHA256.fullmatch(digest) is not None and type(size) is int and size >= 0
