"""Commands for image bundles; each one builds and prints one document."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Group
from rich.text import Text

from isthmus.cli.evaluation import count_anomalies, emit_evaluation, scored_rows
from isthmus.cli.options import (
    CodesFile,
    Directory,
    ImportanceSamples,
    PriorName,
    ResultCount,
    SampleCount,
    Seed,
    StepCount,
    Within,
    check_out_file,
)
from isthmus.cli.output import Json, emit, table
from isthmus.cli.wording import percent
from isthmus.disk import written
from isthmus.errors import InputError
from isthmus.reprs import counted
from isthmus_images import contact_sheet, denoising
from isthmus_images.autoencoder import ImageAutoencoder
from isthmus_images.cli.options import Out, Picture, Skip, Source, check_pictures, on_error


def encode(
    directory: Directory,
    images: Source,
    out: CodesFile = None,
    skip_broken: Skip = False,
    as_json: Json = False,
) -> None:
    """Turn images into codes, one row per image."""
    if out is None and not as_json:
        raise InputError("encode without an output", remedy="add --out codes.npy, or --json to print them")
    check_out_file(out, (".npy",))
    model = ImageAutoencoder.load(directory)
    records = model.adapter.records(images, on_error=on_error(skip_broken))
    codes = model.encode(records)
    document: dict[str, Any] = {"images": len(codes), "width": codes.shape[1], "names": list(records.names)}
    if out is None:
        document["codes"] = codes.tolist()
    else:
        document["path"] = str(out)
        with written(out) as file:
            np.save(file, codes, allow_pickle=False)
    emit(document, as_json, lambda: Text(f"{counted(len(codes), 'code')} of {codes.shape[1]} numbers in {out}"))


def reconstruct(
    directory: Directory, images: Source, out: Out, skip_broken: Skip = False, as_json: Json = False
) -> None:
    """Encode images and decode their codes again."""
    check_pictures(out)
    model = ImageAutoencoder.load(directory)
    records = model.adapter.records(images, on_error=on_error(skip_broken))
    written_images(model.reconstruct(records), records.names, out, as_json)


def sample(
    directory: Directory,
    out: Out,
    n: SampleCount = 64,
    prior: PriorName = "fitted",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Generate new images from random codes."""
    check_pictures(out)
    drawn = ImageAutoencoder.load(directory).sample(n, seed=seed, prior=prior)
    written_images(drawn, [f"{row:05d}.png" for row in range(n)], out, as_json)


def interpolate(
    directory: Directory,
    a: Picture,
    b: Picture,
    out: Out,
    steps: StepCount = 7,
    as_json: Json = False,
) -> None:
    """Interpolate between two images."""
    check_pictures(out)
    between = ImageAutoencoder.load(directory).interpolate(a, b, steps)
    written_images(between, [f"{row:05d}.png" for row in range(steps)], out, as_json)


def search(
    directory: Directory,
    image: Picture,
    k: ResultCount = 10,
    within: Within = None,
    as_json: Json = False,
) -> None:
    """Find the images whose codes are nearest to that of an image."""
    model = ImageAutoencoder.load(directory)
    query = model.adapter.records(image)
    if len(query) != 1:
        raise InputError(f"{image} with {len(query)} images", expected="one image to search for")
    if within is not None:
        model = model.with_gallery(within)
    hits = model.search(query, k)[0]
    found = [
        {"name": hit.item, "row": hit.row, "score": hit.score, "label": hit.label, "percentile": percentile}
        for hit, percentile in zip(hits, hits.percentiles, strict=True)
    ]
    rows = [
        (one["score"], percent(percentile), one["name"], one["label"] or "")
        for one, percentile in zip(found, hits.percentiles, strict=True)
    ]
    columns = ("−distance²", "percentile", "image", "label")
    emit({"query": image, "found": found}, as_json, lambda: table(columns, rows))


def anomalies(
    directory: Directory,
    images: Source,
    k: ResultCount = 10,
    skip_broken: Skip = False,
    as_json: Json = False,
) -> None:
    """Score how anomalous images are, the most anomalous first."""
    model = ImageAutoencoder.load(directory)
    records = model.adapter.records(images, on_error=on_error(skip_broken))
    scores = model.anomaly_scores(records)
    limit = model.anomaly_scorer.threshold
    above, told = count_anomalies(scores, limit, "images")
    ranked = scored_rows(scores, limit, model, len(scores))
    found = [
        {"name": records.names[one.row], "score": one.score, "anomaly": one.anomaly, "p_value": one.p_value}
        for one in ranked
    ]
    document = {"images": len(found), "anomalies": above, "threshold": limit.value, "found": found}
    rows = [(one.score, one.p, records.names[one.row], one.flag) for one in ranked[:k]]
    emit(document, as_json, lambda: Group(Text(f"{told}\n"), table(("score, nats", "p", "image", ""), rows)))


def evaluate(
    directory: Directory,
    images: Source,
    samples: ImportanceSamples = 0,
    noise: Annotated[float | None, typer.Option(help="Add noise of this standard deviation and remove it.")] = None,
    seed: Seed = 0,
    skip_broken: Skip = False,
    as_json: Json = False,
) -> None:
    """Measure how well held-out images are encoded and reconstructed."""
    model = ImageAutoencoder.load(directory)
    given: Any = images
    if not denoising.takes_any_size(model.builder):
        given = model.adapter.records(images, on_error=on_error(skip_broken))
    found = model.evaluate(given, samples=samples, noise=noise, seed=seed)
    emit_evaluation(found, as_json, counted(found.images, "image"), ("images", "samples"))


def written_images(images: Any, names: Any, out: Path, as_json: bool) -> None:
    """Write images and say so."""
    written = contact_sheet.write(out, images, names)
    emit({"images": written, "path": str(out)}, as_json, lambda: Text(f"{counted(written, 'image')} in {out}"))
