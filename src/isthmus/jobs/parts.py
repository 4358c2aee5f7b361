"""The parts of a job, and the folder of its results.

    OUT/
      part-00000.parquet ...   the results for the rows of one part, in their order
      _manifest.json           the task and its options, and the rows, size and SHA-256 of every part

Readers of a folder of Parquet files ignore names that begin with ``_``. A part is renamed to its final name when it is
complete, and its metadata contain its stamp, so that nothing else has to be stored to continue after an interruption.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from isthmus.disk import check_writable, written
from isthmus.errors import InputError, SettingError, SourceError
from isthmus.jobs.part import Options, Part, count_rows, stamp_for, stamp_of

MANIFEST = "_manifest.json"
ROWS = 100_000
"""Maximum number of rows of a part."""

_PART = re.compile(r"part-\d{5,}\.parquet")


def files_of(source: Any) -> list[str]:
    """The Parquet files of a source: a file, a folder, a pattern, or several of these.

    Raises:
        SourceError: there are none.
    """
    several = source if isinstance(source, list | tuple) else [source]
    found = [path for one in several for path in _files(os.fspath(one))]
    if not found:
        raise SourceError("no input", expected="Parquet files")
    return found


def parts_of(
    bundle: str | Path, files: Sequence[str], out: Path, task: str, options: Options, rows: int = ROWS
) -> list[Part]:
    """All parts of a job, in the order of the input.

    Args:
        bundle: a saved model.
        files: the input.
        out: the folder of the results.
        task: name of the task.
        options: of the task.
        rows: maximum number of rows of a part; larger files are split.

    Raises:
        SourceError: a file that is not a Parquet file.
        SettingError: fewer than one row per part.
    """
    if rows < 1:
        raise SettingError(f"{rows} rows in a part", expected="at least 1")
    parts: list[Part] = []
    for source in files:
        count = count_rows(source)
        for start in range(0, count, rows):
            stop = min(start + rows, count)
            target = str(out / f"part-{len(parts):05}.parquet")
            parts.append(Part(source, start, stop, target, stamp_for(bundle, task, options, source, (start, stop))))
    if not parts:
        raise SourceError(f"no rows in {', '.join(files[:3])}", expected="at least one row")
    return parts


def prepare(out: Path, parts: Sequence[Part]) -> None:
    """Create the folder of the results, or use an existing one.

    Raises:
        InputError: a folder with other files, or one that is not writable.
    """
    if os.path.lexists(out) and not out.is_dir():
        raise InputError(f"{str(out)!r} is no folder", expected="a folder for the parts")
    check_writable(out)
    out.mkdir(parents=True, exist_ok=True)
    known = {Path(part.target).name for part in parts}
    odd = [name for name in sorted(os.listdir(out)) if not name.startswith(("_", ".")) and name not in known]
    if odd:
        what = "parts of a larger job" if _PART.fullmatch(odd[0]) else "other files"
        raise InputError(f"{str(out)!r} holds {what}, such as {odd[0]!r}", remedy="choose another folder")
    (out / MANIFEST).unlink(missing_ok=True)


def missing(parts: Sequence[Part]) -> list[Part]:
    """The parts that do not exist, are incomplete, or have another stamp."""
    return [part for part in parts if stamp_of(part.target) != part.stamp]


def finish(bundle: str | Path, out: Path, parts: Sequence[Part], task: str, options: Options) -> int:
    """Write the manifest of a job whose parts are complete; returns the number of rows of all results."""
    entries = [_entry(part) for part in parts]
    content = {"task": task, "bundle": str(bundle), "options": dict(options), "parts": entries}
    with written(out / MANIFEST) as file:
        file.write(json.dumps(content, indent=1, default=str).encode())
    return sum(entry["rows"] for entry in entries)


def _entry(part: Part) -> dict[str, Any]:
    path = Path(part.target)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    said = {name: held for name, held in asdict(part).items() if name != "target"}
    return {"name": path.name, "rows": count_rows(path), "bytes": path.stat().st_size, "sha256": digest, **said}


def _files(text: str) -> list[str]:
    if os.path.isdir(text):
        found = sorted(str(path) for path in Path(text).iterdir() if path.suffix in (".parquet", ".pq"))
        found = [path for path in found if not Path(path).name.startswith(("_", "."))]
        if not found:
            raise SourceError(f"the folder {text!r} has no Parquet file", expected="files *.parquet")
        return found
    if os.path.exists(text) or not glob.has_magic(text):
        return [text]
    found = sorted(glob.glob(text, recursive=True))
    if not found:
        raise SourceError(f"no file matches {text!r}", expected="at least one")
    return found
