"""A study on disk: its description (``study.json``) and the finished trials (``trials.jsonl``, one per line)."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from isthmus.disk import written
from isthmus.errors import SettingError, SourceError
from isthmus.reprs import brief
from isthmus_interactions.csr import Csr
from isthmus_interactions.splits import FoldIn

FORMAT = 1
FORMER_KEYS = {"people": "users"}
"""Names of parts of a study in version 0.1."""

HEAD, TRIALS = "study.json", "trials.jsonl"

State = Literal["complete", "pruned", "cut", "failed"]
STATES = ("complete", "pruned", "cut", "failed")


@brief
@dataclass(frozen=True)
class Trial:
    """One trial.

    Attributes:
        number: counted from 1; number 1 uses the builder's defaults.
        state: ``complete``; ``pruned``, stopped early because others were better at that epoch; ``cut``, stopped by the
            time limit; ``failed``, the model could not be trained with these settings.
        settings: the searched settings, without the fixed ones.
        score: best validation score, higher is better; None if the trial failed.
        scores: validation score after each epoch.
        seconds: duration.
        why: reason of a failure.
    """

    number: int
    state: State
    settings: Mapping[str, Any]
    score: float | None
    scores: tuple[float, ...] = ()
    seconds: float = 0.0
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """The trial as a JSON document."""
        return asdict(self)


class Study:
    """The trials of one search, in order; with a directory, each trial is written to disk when it is added.

    Args:
        directory: where to store the trials; None keeps them in memory. An existing study is continued.
        head: description of the search, as a JSON document. Two studies are equal if their descriptions are equal.

    Raises:
        SettingError: the directory contains another study.
        SourceError: the directory contains other files, or a study that cannot be read.
    """

    def __init__(self, directory: Path | None, head: Mapping[str, Any]) -> None:
        self._directory = directory
        self.trials: list[Trial] = []
        if directory is None:
            return
        if (directory / HEAD).is_file():
            _compare(directory, head)
            self.trials = _trials(directory / TRIALS)
            return
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise SourceError(f"{directory} is not a study", expected="a new or empty directory, or an earlier study")
        directory.mkdir(parents=True, exist_ok=True)
        _write(directory / HEAD, {"format": FORMAT, **head})

    def add(self, trial: Trial) -> None:
        """Add a trial; with a directory, it is on disk when this returns."""
        if self._directory is not None:
            with open(self._directory / TRIALS, "ab") as file:
                file.write(json.dumps(trial.to_json()).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        self.trials.append(trial)


def fingerprint(*matrices: Csr) -> str:
    """SHA-256 of sparse matrices: shape, indices and values."""
    digest = hashlib.sha256()
    for matrix in matrices:
        digest.update(json.dumps(matrix.shape).encode())
        for part, dtype in ((matrix.indptr, np.int64), (matrix.indices, np.int64), (matrix.data, np.float32)):
            digest.update(np.ascontiguousarray(part, dtype).data)
    return digest.hexdigest()


def fold_fingerprint(fold: FoldIn) -> str:
    """Fingerprint of the histories and held-out items of a fold."""
    return fingerprint(fold.history, fold.held_out)


def _compare(directory: Path, head: Mapping[str, Any]) -> None:
    saved = _document((directory / HEAD).read_bytes(), directory / HEAD)
    found = {FORMER_KEYS.get(key, key): value for key, value in saved.items()}
    wanted = json.loads(json.dumps({"format": FORMAT, **head}))
    for key, value in wanted.items():
        if found.get(key) != value:
            shown = "" if key in ("data", "users") else f" ({_short(found.get(key))} there, {_short(value)} here)"
            raise SettingError(
                f"the study in {directory} has another {_WORDS.get(key, key)}{shown}",
                expected="the same as when the study was started",
                remedy="use another directory, or the original arguments",
            )


_WORDS: Mapping[str, str] = {
    "data": "set of interactions",
    "users": "set of validation users",
    "fixed": "choice of given settings",
    "space": "search space",
}


def _trials(path: Path) -> list[Trial]:
    """Complete lines only; an incomplete last line (after a crash) is removed, so that the next trial is not joined to
    it."""
    content = path.read_bytes() if path.exists() else b""
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        os.truncate(path, len(whole))
    return [_trial(line, place, path) for place, line in enumerate(whole.splitlines())]


def _trial(line: bytes, place: int, path: Path) -> Trial:
    document = _document(line, path)
    try:
        trial = Trial(**{**document, "scores": tuple(document["scores"])})
        right = trial.number == place + 1 and trial.state in STATES and (trial.score is not None) != (trial.why != "")
    except (TypeError, KeyError):
        right = False
    if not right:
        raise SourceError(f"line {place + 1} of {path} is not trial {place + 1}", remedy="start a new study")
    return trial


def _document(content: bytes, path: Path) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise SourceError(f"{path} is not a JSON document", remedy="start a new study in another directory")
    return document


def _write(path: Path, document: Mapping[str, Any]) -> None:
    with written(path) as file:
        file.write(json.dumps(document, indent=2).encode() + b"\n")


def _short(value: Any) -> str:
    return json.dumps(value)[:100]
