"""Files of a saved index.

    NAME/
      manifest.json           metric, kind and settings, what was tried, and size and SHA-256 of every other file
      weights.safetensors     vectors, ids, deleted rows and later additions
      cache/structure.safetensors    centroids or links of the approximate index

The cache only saves time and is not trusted: its hash and its arrays are checked before use, and if a check fails, the
structure is built again from the vectors. FAISS itself reads no file.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays
from torch import Tensor

from isthmus import bundle
from isthmus.bundle.manifest import CACHE, CARD, MANIFEST, WEIGHTS, Manifest, Stamp, peek
from isthmus.disk import steadily
from isthmus.errors import BundleError, SettingError
from isthmus.ids import Id
from isthmus.vocabulary import Vocabulary

logger = logging.getLogger(__name__)

PLUGIN, BUILDER = "index", "index"
STRUCTURE = "structure.safetensors"
Verify = Literal["full", "header"]
Structure = Mapping[str, np.typing.NDArray[np.generic]]


class StoredIndex(NamedTuple):
    """What a saved index holds.

    Attributes:
        manifest: manifest of the directory.
        tensors: tensors by name.
        structure: structure of the approximate index, if there is one and its hash is correct.
    """

    manifest: Manifest
    tensors: Mapping[str, Tensor]
    structure: Structure | None


def write(
    directory: str | Path, settings: dict[str, Any], facts: dict[str, Any], tensors: dict[str, Tensor], cache: Structure
) -> None:
    """Save an index completely or not at all. An older index at this path is replaced.

    Args:
        directory: path of the directory.
        settings: settings that are needed to restore the index, as JSON values.
        facts: measurements, as JSON values.
        tensors: vectors, ids and deleted rows.
        cache: the structure of an approximate index; may be empty.

    Raises:
        InputError: the path exists and is something else.
        OSError: the disk is full or not writable; an older index is still there.
    """
    content = {STRUCTURE: save_arrays(dict(cache))} if cache else {}
    bundle.write(
        directory,
        plugin=PLUGIN,
        builder=BUILDER,
        settings=settings,
        tensors=tensors,
        documents={},
        facts=facts,
        cache=content,
    )


def read(directory: str | Path, verify: Verify, mmap: bool) -> StoredIndex:
    """Read what ``write`` wrote.

    Args:
        directory: path of the directory.
        verify: "full" reads and hashes every byte; "header" checks sizes, names, types and shapes.
        mmap: leave the tensors on disk until they are used.

    Raises:
        SettingError: an invalid value of ``verify``.
        BundleError: no index at this path, or one that is truncated, altered, foreign or too new.
        OSError, MemoryError: a problem of the system rather than of the index.
    """
    if verify not in ("full", "header"):
        raise SettingError(f"verify {verify!r}", expected="full or header")
    stored = steadily(directory, lambda place: _read(place, verify, mmap))
    if stored.structure is None and f"{CACHE}/{STRUCTURE}" in stored.manifest.files:
        logger.warning("%s is damaged: the index is made again from the vectors", f"{CACHE}/{STRUCTURE}")
    return stored


def _read(directory: Path, verify: Verify, mmap: bool) -> StoredIndex:
    manifest = peek(directory)
    if manifest.plugin != PLUGIN or manifest.builder != BUILDER:
        raise BundleError(f"{str(directory)!r} is of {manifest.plugin!r}", expected="what an index saved")
    with bundle.as_damage(directory):
        _check_names(directory, manifest)
        path, stamp = directory / WEIGHTS, manifest.files[WEIGHTS]
        if path.is_symlink() or path.stat().st_size != stamp.bytes:
            raise BundleError(f"{WEIGHTS!r} has {path.stat().st_size:,} bytes", expected=f"{stamp.bytes:,}")
        if verify == "full" and _digest(path) != stamp.sha256:
            raise BundleError(f"{WEIGHTS!r} was altered: its SHA-256 is another", remedy="save it again")
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if not mmap:
            tensors = {name: tensor.clone() for name, tensor in tensors.items()}
        return StoredIndex(manifest, tensors, _cached(directory, manifest))


def packed(vocabulary: Vocabulary) -> dict[str, Tensor]:
    """Ids as tensors: integers, or the bytes of all texts with their end offsets."""
    if vocabulary.kind != "string":
        return {"ids": torch.from_numpy(np.array(vocabulary.ids, dtype=vocabulary.kind))}
    texts = [str(text).encode() for text in vocabulary.ids]
    joined = np.frombuffer(b"".join(texts), dtype=np.uint8).copy()
    return {"ids": torch.from_numpy(joined), "ends": torch.from_numpy(np.cumsum([len(text) for text in texts]))}


def unpacked(tensors: Mapping[str, Tensor], prefix: str) -> list[Id]:
    """The inverse of ``packed``.

    Raises:
        BundleError: invalid or missing tensors.
        UnicodeDecodeError: bytes that are not UTF-8.
    """
    ids, ends = tensors[f"{prefix}ids"], tensors.get(f"{prefix}ends")
    if ends is None:
        if ids.dtype not in (torch.int64, torch.uint64) or ids.ndim != 1:
            raise BundleError("the ids are not whole numbers", remedy="save it again")
        plain: list[Id] = ids.tolist()
        return plain
    if ids.dtype != torch.uint8 or ends.dtype != torch.int64 or ids.ndim != 1 or ends.ndim != 1:
        raise BundleError("the ids are not texts", remedy="save it again")
    places = [0, *ends.tolist()]
    if places != sorted(places) or places[-1] != len(ids):
        raise BundleError("the texts of the ids overlap", remedy="save it again")
    text = ids.numpy().tobytes()
    return [text[start:stop].decode("utf-8") for start, stop in pairwise(places)]


def _check_names(directory: Path, manifest: Manifest) -> None:
    known = {MANIFEST, WEIGHTS, CACHE, CARD, f"{CACHE}/{STRUCTURE}"}
    paths = list(directory.rglob("*"))
    for path in paths:
        if path.is_symlink() or not (path.is_file() or path == directory / CACHE):
            raise BundleError(f"{str(path)!r} is not a plain file", expected="no links and no other folders")
    found = {path.relative_to(directory).as_posix() for path in paths}
    for name in sorted(found - known):
        raise BundleError(f"{str(directory)!r} has a foreign file {name!r}")
    if WEIGHTS not in found:
        raise BundleError(f"{str(directory)!r} lacks {WEIGHTS!r}")


def _cached(directory: Path, manifest: Manifest) -> Structure | None:
    """The content of the cache, if its hash is correct."""
    name = f"{CACHE}/{STRUCTURE}"
    stamp, path = manifest.files.get(name), directory / name
    if stamp is None:
        return None
    try:
        content = b"" if path.is_symlink() or path.stat().st_size != stamp.bytes else path.read_bytes()
        if Stamp(hashlib.sha256(content).hexdigest(), len(content)) == stamp:
            return load_arrays(content)
    except MemoryError:
        raise
    except Exception as error:
        # A cache with any kind of error can be built again.
        logger.debug("%s: %s", name, error)
    return None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
