"""Cuts and flips bytes of saved indexes and opens them, as a process of its own: a parser that dies takes it along.

python index_fuzz.py FOLDER ROUNDS SEED    # prints how often what happened, as JSON
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from isthmus.bundle.manifest import sealed
from isthmus.errors import BundleError, IsthmusError
from isthmus.index import Index

KINDS = ("exact", "ivf", "hnsw", "ivf-pq", "rabitq", "sq8")


def saved(folder: Path) -> list[Path]:
    """One index of each kind, with rows that are gone and rows that came later."""
    vectors = np.random.default_rng(0).standard_normal((240, 4))
    made = []
    for number, kind in enumerate(KINDS):
        names = [f"id {row}" for row in range(240)] if number % 2 else list(range(240))
        index = Index.build(vectors, names, kind=kind, target_recall=0.05, metric=("ip", "cosine", "l2")[number % 3])
        index.remove(names[:5])
        index.add(vectors[:4] + 1, [f"late {row}" for row in range(4)] if number % 2 else list(range(900, 904)))
        index.save(folder / kind)
        made.append(folder / kind)
    return made


def spoil(content: bytes, chance: random.Random) -> bytes:
    """Some bytes flipped, cut off, cut out, doubled or replaced by extreme numbers."""
    spoilt = bytearray(content)
    # Headers and small numbers lie in front.
    reach = len(spoilt) if chance.random() < 0.5 else min(len(spoilt), 600)
    place = chance.randrange(max(1, reach))
    match chance.randrange(6):
        case 0:
            for _ in range(chance.choice((1, 1, 2, 8, 64))):
                spoilt[chance.randrange(reach)] ^= 1 << chance.randrange(8)
        case 1:
            del spoilt[place:]
        case 2:
            del spoilt[place : place + chance.randrange(1, 40)]
        case 3:
            spoilt[place:place] = spoilt[place : place + chance.randrange(1, 40)]
        case 4:
            spoilt[place : place + 8] = chance.choice((b"\xff" * 8, b"\0" * 8, b"\x7f" + b"\xff" * 7, b"99999999"))
        case 5:
            spoilt[place : place + 4] = b"\0\0\xc0\x7f"
    return bytes(spoilt)


def stamped_again(directory: Path) -> None:
    """The manifest with the hashes of the files as they are now, if it still is one."""
    path = directory / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        for name in manifest["files"]:
            content = (directory / name).read_bytes()
            manifest["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        path.write_text(json.dumps(sealed(manifest)), encoding="utf-8")
    except (ValueError, LookupError, TypeError, AttributeError, OSError):
        pass


def outcome(directory: Path, verify: str, mmap: bool) -> str:
    """What became of opening and asking it."""
    try:
        index = Index.load(directory, verify=verify, mmap=mmap)
    except BundleError:
        return "refused"
    try:
        index.search(np.ones((3, index.width)), 7, exclude=[[1], [], [2, 3]])
        index.within(np.ones(index.width), 1.0)
        index.info()
    except IsthmusError:
        # Numbers that "header" does not look at.
        return "refused later" if verify == "header" else "FAILED"
    return "opened"


def main(folder: Path, rounds: int, seed: int) -> None:
    chance, counted = random.Random(seed), Counter[str]()
    made = saved(folder)
    place = folder / "spoilt"
    for number in range(rounds):
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(chance.choice(made), place)
        file = chance.choice(sorted(path for path in place.rglob("*") if path.is_file()))
        file.write_bytes(spoil(file.read_bytes(), chance))
        if number % 2:
            stamped_again(place)
        verify, mmap = chance.choice((("full", False), ("full", True), ("header", True)))
        kind = file.name.partition(".")[0]
        counted[f"{kind} {'stamped' if number % 2 else 'as it is'}: {outcome(place, verify, mmap)}"] += 1
    sys.stdout.write(json.dumps(counted))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
