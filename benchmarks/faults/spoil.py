"""Ways to spoil a file or a folder, drawn from a seeded generator."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

from isthmus.bundle.manifest import MANIFEST

NUMBERS = (
    *(b"-1", b"0", b"1", b"2", b"7", b"255", b"65536", b"2147483647", b"2147483648", b"4294967296", b"999999999999"),
    *(b"9223372036854775807", b"9223372036854775808", b"18446744073709551616", b"1e308", b"1e999", b"-1e19", b"0.5"),
    *(b"-0.0", b"NaN", b"null", b"true", b"[]", b"{}", b'""', b'"x"', b"[1,[2,[3]]]"),
)
EXTREME = (
    b"\xff" * 8,
    b"\0" * 8,
    b"\xff" * 7 + b"\x7f",
    b"\0\0\0\0\0\0\0\x80",
    b"99999999",
    b"\0\0\xc0\x7f",
    b"\0\0\x80\x7f",
)
VALUES = tuple(
    struct.pack(form, value)
    for form, value in (
        *(("<f", value) for value in (3e38, -3e38, 1e19, -1e19, 1e-40, 0.0, -1.0, 255.0, float("nan"), float("-inf"))),
        *(("<i", value) for value in (-1, 0, 1, 2, 100, 2**31 - 1, -(2**31))),
    )
)
NUMBER = re.compile(rb"-?\d+(\.\d+)?([eE][-+]?\d+)?")
HEAD = 600
"""Headers and small numbers lie in front."""


def spoiled(content: bytes, chance: random.Random) -> bytes:
    """The contents of a file, changed in one of several ways."""
    ways: tuple[Callable[[bytearray, random.Random], bytes], ...] = (
        _flipped,
        _cut,
        _without,
        _doubled,
        _extreme,
        _spliced,
    )
    if content[8:9] == b"{" and chance.random() < 0.35:
        return _other_values(bytearray(content), chance)
    text = content[:1] in (b"{", b"[") or content[8:9] == b"{" or b"NUMPY" in content[:8]
    if text and chance.random() < 0.6:
        return _numbered(content, chance)
    return chance.choice(ways)(bytearray(content), chance)


def _other_values(content: bytearray, chance: random.Random) -> bytes:
    """Extreme numbers behind the header of safetensors, where no parser looks."""
    (length,) = struct.unpack("<Q", content[:8])
    cells = (len(content) - 8 - length) // 4
    for _ in range(chance.choice((1, 1, 3, 20)) if cells > 0 else 0):
        place = 8 + length + 4 * chance.randrange(cells)
        content[place : place + 4] = chance.choice(VALUES)
    return bytes(content)


def _place(content: bytearray, chance: random.Random) -> int:
    reach = len(content) if chance.random() < 0.5 else min(len(content), HEAD)
    return chance.randrange(max(1, reach))


def _flipped(content: bytearray, chance: random.Random) -> bytes:
    for _ in range(chance.choice((1, 1, 1, 2, 8, 64)) if content else 0):
        content[_place(content, chance)] ^= 1 << chance.randrange(8)
    return bytes(content)


def _cut(content: bytearray, chance: random.Random) -> bytes:
    return bytes(content[: _place(content, chance)])


def _without(content: bytearray, chance: random.Random) -> bytes:
    place = _place(content, chance)
    del content[place : place + chance.randrange(1, 60)]
    return bytes(content)


def _doubled(content: bytearray, chance: random.Random) -> bytes:
    place, other = _place(content, chance), _place(content, chance)
    content[place:place] = content[other : other + chance.randrange(1, 400)]
    return bytes(content)


def _extreme(content: bytearray, chance: random.Random) -> bytes:
    place, number = _place(content, chance), chance.choice(EXTREME)
    content[place : place + len(number)] = number
    return bytes(content)


def _spliced(content: bytearray, chance: random.Random) -> bytes:
    place, other = _place(content, chance), _place(content, chance)
    size = chance.randrange(1, 200)
    content[place : place + size] = content[other : other + size]
    return bytes(content)


def _numbered(content: bytes, chance: random.Random) -> bytes:
    """Another number in a text; the length in front of a header of safetensors or NumPy follows."""
    found = list(NUMBER.finditer(content[:200_000]))
    if not found:
        return _flipped(bytearray(content), chance)
    one = chance.choice(found[:60] if chance.random() < 0.5 else found)
    changed = content[: one.start()] + chance.choice(NUMBERS) + content[one.end() :]
    longer = len(changed) - len(content)
    if content[8:9] == b"{" and len(content) > 8:
        (length,) = struct.unpack("<Q", content[:8])
        if one.start() < length + 8:
            changed = struct.pack("<Q", max(0, length + longer)) + changed[8:]
    elif content[:6] == b"\x93NUMPY" and one.start() > 10:
        (length,) = struct.unpack("<H", content[8:10])
        changed = changed[:8] + struct.pack("<H", max(0, min(65535, length + longer))) + changed[10:]
    return changed


def spoil_folder(folder: Path, others: list[Path], chance: random.Random) -> str:
    """Spoil a bundle, in most cases one of its files.

    Args:
        folder: a bundle that may be spoilt.
        others: bundles whose files may take the place of its own.
        chance: draws what is done.

    Returns:
        What was done, in words.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    file = chance.choice(files)
    name = file.relative_to(folder).as_posix()
    way = chance.random()
    if way < 0.04:
        return f"{name}: {_strange(file, chance)}"
    if way < 0.14:
        other = chance.choice(others)
        alike = [path for path in other.rglob("*") if path.is_file() and path.suffix == file.suffix]
        if alike:
            taken = chance.choice(sorted(alike))
            shutil.copyfile(taken, file)
            return f"{name}: {other.name}/{taken.relative_to(other)}"
    file.write_bytes(spoiled(file.read_bytes(), chance))
    return f"{name}: spoilt"


def _strange(file: Path, chance: random.Random) -> str:
    """Something else than a file in the place of a file."""
    file.unlink()
    match chance.randrange(6):
        case 0:
            os.mkfifo(file)
            return "pipe"
        case 1:
            file.symlink_to("/dev/zero")
            return "link to a device"
        case 2:
            file.symlink_to(file)
            return "link to itself"
        case 3:
            file.mkdir()
            return "folder"
        case 4:
            file.write_bytes(b"")
            return "empty"
        case _:
            return "gone"


def stamped_again(folder: Path) -> bool:
    """Give a bundle's manifest the sizes and digests of its files as they are now.

    Returns:
        Whether there is a manifest that could take them.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return False
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        for name in manifest["files"]:
            content = (folder / name).read_bytes() if (folder / name).is_file() else b""
            manifest["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        path.write_text(json.dumps(_sealed(manifest), ensure_ascii=False), encoding="utf-8")
    except (ValueError, LookupError, TypeError, AttributeError, OSError, RecursionError):
        return False
    return True


def _sealed(manifest: dict[str, object]) -> dict[str, object]:
    from isthmus.bundle import manifest as own

    seal = getattr(own, "sealed", None)
    sealed: dict[str, object] = manifest if seal is None else seal(manifest)
    return sealed
