"""Commands for bundles of vectors; each one builds and prints one document."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer
from rich.console import Group
from rich.text import Text

from isthmus import bundle
from isthmus.cli.evaluation import count_anomalies, emit_evaluation, scored_rows
from isthmus.cli.options import (
    AllFlagged,
    Delimiter,
    Directory,
    Encoding,
    Header,
    ImportanceSamples,
    PriorName,
    ResultCount,
    SampleCount,
    Seed,
    Within,
)
from isthmus.cli.output import Json, emit, table
from isthmus.cli.wording import percent
from isthmus.errors import BundleError
from isthmus.reprs import counted
from isthmus_vectors.autoencoder import VectorAutoencoder
from isthmus_vectors.cli.options import Columns, Drop, OutFile, Source, check_out, write_numbers
from isthmus_vectors.detection import Detector
from isthmus_vectors.detection.storage import BUILDER
from isthmus_vectors.vectors import Vectors

REASONS = 3
"""Maximum number of columns that are listed for an anomalous row."""

METRICS = {"l2": "−distance²", "ip": "inner product"}
"""Names of scores by metric, if they differ from the metric."""


def encode(
    directory: Directory,
    file: Source,
    out: OutFile = None,
    columns: Columns = None,
    drop: Drop = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    header: Header = None,
    as_json: Json = False,
) -> None:
    """Turn rows of numbers into codes."""
    check_out(out, as_json)
    model = _autoencoder(directory)
    rows = model.adapter.rows(
        file, columns=columns, drop=drop or (), encoding=encoding, delimiter=delimiter, header=header
    )
    _emit_numbers("codes", model.encode(rows), out, as_json)


def reconstruct(
    directory: Directory,
    file: Source,
    out: OutFile = None,
    columns: Columns = None,
    drop: Drop = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    header: Header = None,
    as_json: Json = False,
) -> None:
    """Reconstruct rows from their codes, in their original units."""
    check_out(out, as_json)
    model = _autoencoder(directory)
    rows = model.adapter.rows(
        file, columns=columns, drop=drop or (), encoding=encoding, delimiter=delimiter, header=header
    )
    _emit_numbers("vectors", model.reconstruct(rows), out, as_json, model.adapter.columns)


def sample(
    directory: Directory,
    n: SampleCount = 10,
    prior: PriorName = "fitted",
    seed: Seed = 0,
    out: OutFile = None,
    as_json: Json = False,
) -> None:
    """Generate new rows from random codes."""
    if out is not None or as_json:
        check_out(out, as_json)
    model = _autoencoder(directory)
    drawn = model.sample(n, seed=seed, prior=prior)
    if out is None and not as_json:
        names = model.adapter.columns or tuple(f"f{place}" for place in range(model.width))
        emit({}, False, lambda: table(names, [[float(number) for number in row] for row in drawn]))
        return
    _emit_numbers("vectors", drawn, out, as_json, model.adapter.columns)


def search(
    directory: Directory,
    file: Source,
    k: ResultCount = 10,
    within: Within = None,
    metric: Annotated[str, typer.Option(help="Of codes: l2, cosine or ip.")] = "l2",
    columns: Columns = None,
    drop: Drop = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    header: Header = None,
    as_json: Json = False,
) -> None:
    """Find the rows whose codes are nearest to those of each row of a file."""
    model = _autoencoder(directory)
    if within is not None:
        model = model.with_gallery(
            model.adapter.rows(
                within, columns=columns, drop=drop or (), encoding=encoding, delimiter=delimiter, header=header
            )
        )
    near = model.search(
        model.adapter.rows(
            file, columns=columns, drop=drop or (), encoding=encoding, delimiter=delimiter, header=header
        ),
        k,
        metric=metric,
    )
    found: list[list[dict[str, Any]]] = [
        [
            {"row": hit.row, "score": hit.score, "percentile": percentile}
            for hit, percentile in zip(hits, hits.percentiles, strict=True)
        ]
        for hits in near
    ]
    lines = [
        (query, one["row"], one["score"], percent(one["percentile"]))
        for query, some in enumerate(found)
        for one in some
    ]
    heads = ("row of FILE", "nearest row", METRICS.get(metric, metric), "percentile")
    emit({"found": found}, as_json, lambda: table(heads, lines))


def anomalies(
    directory: Directory,
    file: Source,
    k: ResultCount = 10,
    all_rows: AllFlagged = False,
    columns: Columns = None,
    drop: Drop = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    header: Header = None,
    as_json: Json = False,
) -> None:
    """Score how anomalous rows are, the most anomalous first."""
    model = _scorer(directory)
    rows = model.fitted.adapter.rows(
        file, columns=columns, drop=drop or (), encoding=encoding, delimiter=delimiter, header=header
    )
    scores = model.anomaly_scores(rows)
    limit = model.threshold
    above, title = count_anomalies(scores, limit, "rows")
    ranked = scored_rows(scores, limit, model, None if all_rows else k)
    found: list[dict[str, Any]] = [one._asdict() for one in ranked]
    reasons = _reasons(model, rows.select(np.array([one.row for one in ranked], dtype=np.int64)))
    for one, names in zip(found, reasons or [], strict=False):
        one["columns"] = names
    document = {
        "rows": len(scores),
        "anomalies": above,
        "threshold": limit.value,
        "most_anomalous" if not all_rows else "all": found,
    }
    shown: list[tuple[Any, ...]] = [(one.row, one.score, one.p, one.flag) for one in ranked]
    if reasons is not None:
        shown = [(*line, ", ".join(names)) for line, names in zip(shown, reasons, strict=True)]
    heads = ("row", "score, nats", "p", "", *(() if reasons is None else ("most unusual columns",)))
    emit(document, as_json, lambda: Group(Text(f"{title}\n"), table(heads, shown)))


def evaluate(
    directory: Directory,
    file: Source,
    samples: ImportanceSamples = 0,
    columns: Columns = None,
    drop: Drop = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    header: Header = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Measure how well held-out rows are reconstructed."""
    model = _autoencoder(directory)
    rows = model.adapter.rows(
        file, columns=columns, drop=drop or (), encoding=encoding, delimiter=delimiter, header=header
    )
    found = model.evaluate(rows, samples=samples, seed=seed)
    said = f"{counted(found.rows, 'row')} of {counted(found.width, 'number')}, codes of {found.code:,}"
    emit_evaluation(found, as_json, said, ("rows", "width", "code", "samples"))


def _emit_numbers(
    name: str, numbers: npt.NDArray[Any], out: Path | None, as_json: bool, columns: tuple[str, ...] | None = None
) -> None:
    document: dict[str, Any] = {"rows": len(numbers), "width": numbers.shape[1]}
    if out is None:
        document[name] = numbers.tolist()
    else:
        write_numbers(out, numbers, columns)
        document["path"] = str(out)
    emit(document, as_json, lambda: Text(f"{len(numbers):,} {name} of {numbers.shape[1]} numbers in {out}"))


def _scorer(directory: Path) -> Detector | VectorAutoencoder:
    """The anomaly scorer of the bundle. Raises the errors of ``VectorAutoencoder.load``."""
    found = bundle.peek(directory).builder
    return Detector.load(directory) if found == BUILDER else VectorAutoencoder.load(directory)


def _autoencoder(directory: Path) -> VectorAutoencoder:
    """A model with codes.

    Raises:
        BundleError: as raised by ``VectorAutoencoder.load``, or the bundle contains a detector.
    """
    if bundle.peek(directory).builder == BUILDER:
        raise BundleError(
            f"{str(directory)!r} contains an anomaly detector, which has no codes",
            expected="a model trained by isthmus fit vectors without --model auto",
            remedy=f"use isthmus anomalies {directory} FILE",
        )
    return VectorAutoencoder.load(directory)


def _reasons(model: Detector | VectorAutoencoder, rows: Vectors) -> list[list[str]] | None:
    """The columns that make each row anomalous, the most anomalous first; None for models that only score whole
    rows."""
    if not isinstance(model, Detector):
        return None
    names = model.columns or tuple(map(str, range(rows.width)))
    return [[names[place] for place in np.argsort(-each, kind="stable")[:REASONS]] for each in model.explain(rows)]
