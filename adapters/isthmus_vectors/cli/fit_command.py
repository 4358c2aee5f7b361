"""``isthmus fit vectors``: from a file of numbers to a bundle."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from isthmus import plugins
from isthmus.cli.options import Contamination, Delimiter, Encoding, Header, NoIndex
from isthmus.cli.training import Training, fit_command
from isthmus.reprs import counted
from isthmus_vectors.autoencoder import VectorAutoencoder
from isthmus_vectors.cli.options import Columns, Drop, Source
from isthmus_vectors.detection import Detector
from isthmus_vectors.vectors import Vectors

AUTO = "auto"


@fit_command
def fit(
    file: Source,
    training: Training,
    model: Annotated[
        str, typer.Option(help="A name from isthmus models, or auto: an anomaly detector without settings.")
    ] = "vanilla",
    columns: Columns = None,
    drop: Drop = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    header: Header = None,
    scaling: Annotated[str, typer.Option(help="robust: medians and quartiles of columns; none.")] = "robust",
    code: Annotated[int | None, typer.Option(min=1, help="Dimensions of the code.")] = None,
    contamination: Contamination = 0.05,
    no_index: NoIndex = False,
) -> None:
    """Train on rows of numbers, for codes that can be searched and sampled, and for anomaly detection."""
    settings = dict(training.settings) | ({} if code is None else {"code": code})
    if model != AUTO:
        replace(training, settings=settings).check_model("vectors", model)
    rows = Vectors.read(file, columns=columns, drop=drop or (), encoding=encoding, delimiter=delimiter, header=header)
    if model == AUTO:
        return _fit_detector(rows, training, contamination, settings)
    fitted = VectorAutoencoder.fit(
        rows,
        model,
        scaling=scaling,
        validation=training.validation,
        contamination=contamination,
        gallery=not no_index,
        run=training.run,
        **settings,
    )
    training.save(fitted)
    training.report(
        fitted,
        plugins.command_name(fitted.builder),
        {
            "rows": fitted.facts["rows"],
            "width": fitted.width,
            "code": fitted.code_width,
            "sparse": fitted.adapter.is_sparse,
            # None if Ctrl-C came before it was computed.
            "threshold": None if fitted.fitted.anomaly_scorer is None else fitted.threshold.value,
        },
        sizes=f"{counted(fitted.facts['rows'], 'row')} of {counted(fitted.width, 'number')}, "
        f"codes of {fitted.code_width:,}",
        metrics=("objective",),
        examples=(f"isthmus anomalies {training.out} FILE", f"isthmus sample {training.out}"),
    )


def _fit_detector(rows: Vectors, training: Training, contamination: float, settings: dict[str, Any]) -> None:
    detector = Detector.fit(rows, contamination=contamination, run=training.run, **settings)
    training.save(detector)
    training.report(
        detector,
        AUTO,
        {"rows": len(rows), "width": rows.width, "threshold": detector.threshold.value},
        sizes=f"{counted(len(rows), 'row')} of {counted(rows.width, 'number')}",
        examples=(f"isthmus anomalies {training.out} FILE",),
    )
