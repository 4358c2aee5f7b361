"""``isthmus fit vectors --model auto``: a detector of anomalies, and what answers for either kind of bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Group
from rich.text import Text

from isthmus import bundle
from isthmus.cli.output import emit, status, table
from isthmus.training.history import History
from isthmus.training.run import Run
from isthmus_vectors.autoencoder import VectorAutoencoder
from isthmus_vectors.detection import Detector
from isthmus_vectors.detection.storage import BUILDER
from isthmus_vectors.vectors import Vectors

AUTO = "auto"


def fit_detector(rows: Vectors, out: Path, share: float, settings: dict[str, Any], run: Run, as_json: bool) -> None:
    """Fit, save and tell, as ``fit`` does for the models."""
    detector = Detector.fit(rows, share=share, run=run, **settings)
    history = History.from_json(dict(detector.facts["training"]))
    if history.interrupted and not history.records:
        raise KeyboardInterrupt
    detector.save(out)
    if history.interrupted:
        status(f"interrupted after epoch {len(history.records)}: what was learned so far is saved")
    document = {
        "path": str(out),
        "model": AUTO,
        "rows": len(rows),
        "width": rows.width,
        "epochs": len(history.records),
        "threshold": detector.threshold.value,
        "seconds": round(history.seconds, 1),
        "interrupted": history.interrupted,
    }
    hint = Text(f"\ntry: isthmus anomalies {out} FILE")
    emit(document, as_json, lambda: Group(table(("", ""), list(document.items())), hint))


def judge(directory: Path) -> Detector | VectorAutoencoder:
    """Whatever of the bundle tells anomalies.

    Raises:
        BundleError: a directory that is truncated, altered, foreign or too new.
    """
    found = bundle.peek(directory).builder
    return Detector.load(directory) if found == BUILDER else VectorAutoencoder.load(directory)
