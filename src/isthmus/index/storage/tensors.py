"""An index on disk.

    NAME/
      manifest.json           metric, kind and settings, what was tried, and size and SHA-256 of every other file
      weights.safetensors     vectors, ids, which rows are gone, and what came later
      cache/structure.safetensors    centroids or links of the approximate index

The cache saves time and is trusted with nothing: it is hashed before it is read, its arrays are checked before an index
is made of them, and where either fails, the index is made anew from the vectors. FAISS itself reads no file.
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
        manifest: of the directory.
        tensors: by name.
        structure: of the approximate index, if there is one and it is what was saved.
    """

    manifest: Manifest
    tensors: Mapping[str, Tensor]
    structure: Structure | None


def write(
    directory: str | Path, settings: dict[str, Any], facts: dict[str, Any], tensors: dict[str, Tensor], cache: Structure
) -> None:
    """Save, whole or not at all; an older index at the same place is replaced.

    Args:
        directory: where.
        settings: what makes the index again, as JSON values.
        facts: what was measured, as JSON values.
        tensors: vectors, ids and what was removed.
        cache: the structure of an approximate index; may be empty.

    Raises:
        InputError: something else stands at that place.
        OSError: the disk is full or may not be written to; what stood there before still does.
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
        directory: where.
        verify: "full" reads and hashes every byte; "header" checks sizes, names, types and shapes.
        mmap: the tensors stay on the disk until they are used.

    Raises:
        SettingError: another word for ``verify``.
        BundleError: no index there, or one that is truncated, altered, foreign or too new.
        OSError, MemoryError: it cannot be read here and now.
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
    """Ids as tensors: whole numbers, or the bytes of all texts with where each of them ends."""
    if vocabulary.kind != "string":
        return {"ids": torch.from_numpy(np.array(vocabulary.ids, dtype=vocabulary.kind))}
    texts = [str(text).encode() for text in vocabulary.ids]
    joined = np.frombuffer(b"".join(texts), dtype=np.uint8).copy()
    return {"ids": torch.from_numpy(joined), "ends": torch.from_numpy(np.cumsum([len(text) for text in texts]))}


def unpacked(tensors: Mapping[str, Tensor], prefix: str) -> list[Id]:
    """The inverse of ``packed``.

    Raises:
        BundleError: no such tensors.
        UnicodeDecodeError: bytes that are not text.
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
    """What the cache holds, if it is what was written."""
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
        # Whatever is wrong with a cache, it can be made again.
        logger.debug("%s: %s", name, error)
    return None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
