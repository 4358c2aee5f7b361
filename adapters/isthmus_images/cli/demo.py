"""``isthmus demo images``: all steps on pictures of clothes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer
from rich.console import Group, RenderableType
from rich.text import Text

from isthmus.cli.demos import Demonstration, demonstration
from isthmus.cli.output import Json, emit, status, table
from isthmus_images import contact_sheet
from isthmus_images.autoencoder import ImageAutoencoder
from isthmus_images.datasets import demo_clothes
from isthmus_images.denoising import noised
from isthmus_images.images import Images

MODEL = "denoising"
"""A denoising autoencoder can do everything that is shown: the noise in training also makes its codes smooth."""

NOISE = 0.25
CODE = 48
SETTINGS: dict[str, Any] = {
    "noise": "gaussian",
    "level": NOISE,
    "code": CODE,
    "likelihood": "bernoulli",
    "batch_size": 64,
    "learning_rate": 3e-3,
    "epochs": 14,
}
"""Chosen on 1,000 of the training pictures. Most pixels are black or nearly white: after ten epochs with a code of 16
numbers, a Bernoulli likelihood has a squared error of 0.0137, a Gaussian one 0.0171. Wider codes reconstruct more,
narrower ones give cleaner samples. Of 24 epochs the twelfth was best; 14 epochs, after which the learning rate is 0,
are better."""

COMMAND, EXPECTED = "isthmus demo images", "about a minute on two cores, three at most"
MOST_SECONDS = 120.0
"""Time limit of the training."""

COLUMNS = 12
SAMPLES = 3 * COLUMNS
PATHS = (("dress", "trouser"), ("sneaker", "ankle boot"), ("T-shirt", "coat"))
"""Labels of the first and the last picture of each interpolation."""

ASKED = ("ankle boot", "bag", "dress", "sandal")
"""Labels of the pictures whose neighbours are shown."""

NEAREST = 5
UNRELATED = 500
"""Number of pairs of training pictures, whose distance is compared with that of samples."""

HALF = 0.5


def demo(
    out: Annotated[Path, typer.Option(help="Where to save the bundle.")] = Path("images.bundle"),
    picture: Annotated[Path, typer.Option(help="Where to save the sheet of images.")] = Path("images.png"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the model, the noise and the samples.")] = 0,
    as_json: Json = False,
) -> None:
    """Train on pictures of clothes, denoise, sample, interpolate, search, and draw a sheet of the results."""
    with demonstration(COMMAND, out, picture) as run:
        train, test = demo_clothes("train"), demo_clothes("test")
        run.announce(f"Fashion-MNIST, a part: {len(train):,} pictures to train on, {len(test):,} held out", EXPECTED)
        model = run.train(
            lambda: ImageAutoencoder.fit(train, MODEL, seed=seed, time_limit=MOST_SECONDS, **SETTINGS),
            SETTINGS["epochs"],
        )
        samples = model.sample(SAMPLES, seed=seed)
        picture.parent.mkdir(parents=True, exist_ok=True)
        contact_sheet.save_sheet(rows_of(model, train, test, samples, seed), picture)
        document = _document(model, figures(model, train, test, samples, seed), picture, run)
        for fault in faults(document):
            status(f"warning: {fault}")
        emit(document, as_json, lambda: _page(document))


def _document(model: ImageAutoencoder, measured: dict[str, float], picture: Path, run: Demonstration) -> dict[str, Any]:
    return {
        "data": "Fashion-MNIST",
        "trained_on": len(demo_clothes("train")),
        "held_out": len(demo_clothes("test")),
        "epochs": model.history.epochs,
        **measured,
        "picture": str(picture),
        "path": str(run.out),
        "seconds": run.seconds,
    }


def rows_of(
    model: ImageAutoencoder, train: Images, test: Images, samples: npt.NDArray[Any], seed: int
) -> list[contact_sheet.Row]:
    """The rows of the sheet; the model was not trained on these pictures, except the neighbours.

    Args:
        model: the trained model.
        train: the training pictures.
        test: held-out pictures.
        samples: samples of the model, a multiple of ``COLUMNS``.
        seed: seed of the noise.
    """
    shown = one_of_each(test, COLUMNS)
    noisy = noised(shown, NOISE, seed)
    rows: list[contact_sheet.Row] = [
        ("Held-out pictures", shown.array()),
        ("With noise", np.clip(noisy.array(), 0, 1)),
        ("Noise removed", model.denoise(noisy)),
        (f"Encoded in {CODE} numbers, and decoded", model.reconstruct(shown)),
    ]
    for place, (first, last) in enumerate(PATHS):
        ends = first_of(shown, first), first_of(shown, last)
        rows.append(("" if place else "Interpolation between two pictures", model.interpolate(*ends, COLUMNS)))
    rows.extend(
        ("" if start else "New pictures (samples)", samples[start : start + COLUMNS])
        for start in range(0, len(samples), COLUMNS)
    )
    for place, label in enumerate(ASKED):
        caption = "" if place else "A held-out picture, and the most similar training pictures"
        rows.append((caption, _neighbours(model, first_of(shown, label), train)))
    return rows


def one_of_each(images: Images, count: int) -> Images:
    """The first image of each label, in the order of the labels, then others, ``count`` in total."""
    labels = images.labels or images.names
    firsts = sorted({label: row for row, label in reversed(list(enumerate(labels)))}.items())
    rows = [row for _, row in firsts][:count]
    rest = (row for row in range(len(images)) if row not in set(rows))
    return images.select([*rows, *(next(rest) for _ in range(count - len(rows)))])


def first_of(images: Images, label: str) -> Images:
    """The first image with this label."""
    return images.select([(images.labels or ()).index(label)])


def _neighbours(model: ImageAutoencoder, one: Images, train: Images) -> npt.NDArray[Any]:
    """The image, a gap, and its neighbours."""
    gap = np.ones_like(one.array())
    found = [hit.row for hit in model.search(one, COLUMNS - 2)[0]]
    return np.concatenate([one.array(), gap, train.select(found).array()])


def figures(
    model: ImageAutoencoder, train: Images, test: Images, samples: npt.NDArray[Any], seed: int
) -> dict[str, float]:
    """Metrics on held-out pictures.

    Returns:
        ``mse`` and ``psnr`` (dB) of reconstructions, ``noisy_psnr`` and ``denoised_psnr`` before and after denoising;
        ``unexplained``, the share of the variance that reconstructions lose; ``same_kind``, the share of the
        ``NEAREST`` nearest pictures that show the same kind of clothes; ``sample_distance``, the distance of samples
        from the nearest training picture, divided by that between two unrelated pictures.
    """
    found = model.evaluate(test, noise=NOISE, seed=seed).to_json()
    variance = float(np.square(test.array() - train.array().mean(0)).mean())
    return {
        **{name: found[name] for name in ("mse", "psnr", "noisy_psnr", "denoised_psnr")},
        "unexplained": found["mse"] / variance,
        "same_kind": same_kind(model, train, test),
        "sample_distance": sample_distance(samples, train.array(), seed),
    }


def same_kind(model: ImageAutoencoder, train: Images, test: Images) -> float:
    """The share of neighbours that have the label of the query."""
    known, meant = np.array(train.labels), np.array(test.labels)
    rows = np.array([[hit.row for hit in hits] for hits in model.search(test, NEAREST)])
    return float((known[rows] == meant[:, None]).mean())


def sample_distance(samples: npt.NDArray[Any], train: npt.NDArray[Any], seed: int) -> float:
    """The median distance of samples from the nearest training picture, divided by that of random pairs: near 0 for
    copies, 1 or more for samples that are no closer to any picture than these are to each other."""
    drawn, known = (some.reshape(len(some), -1).astype(np.float64) for some in (np.clip(samples, 0, 1), train))
    squares = np.square(drawn).sum(1)[:, None] + np.square(known).sum(1) - 2 * drawn @ known.T
    pairs = np.random.default_rng(seed).integers(len(known), size=(2, UNRELATED))
    apart = np.sqrt(np.square(known[pairs[0]] - known[pairs[1]]).sum(1))
    return float(np.median(np.sqrt(np.clip(squares.min(1), 0, None))) / np.median(apart))


def faults(document: dict[str, Any]) -> list[str]:
    """Poor results, judged by the demo's own metrics."""
    more = "; train longer, without Ctrl-C"
    found = []
    if document["denoised_psnr"] <= document["noisy_psnr"]:
        found.append("the denoised pictures are no closer to the clean ones than the noisy ones" + more)
    if document["unexplained"] > HALF:
        found.append(f"reconstructions lose {document['unexplained']:.0%} of the variance of the pictures" + more)
    if document["same_kind"] < HALF:
        found.append(f"only {document['same_kind']:.0%} of the nearest pictures show the same kind of clothes" + more)
    if document["sample_distance"] > 1:
        found.append(
            "samples are noise: they are further from all training pictures than these are from each other" + more
        )
    return found


def _page(document: dict[str, Any]) -> RenderableType:
    out = document["path"]
    figures = [
        ("similarity to the clean picture, with noise", f"{document['noisy_psnr']:.1f} dB"),
        ("similarity to the clean picture, noise removed", f"{document['denoised_psnr']:.1f} dB"),
        (f"similarity after encoding to {CODE} numbers", f"{document['psnr']:.1f} dB"),
        (f"the {NEAREST} most similar pictures show the same kind of clothes", f"{document['same_kind']:.0%}"),
    ]
    return Group(
        table((f"{document['held_out']:,} held-out pictures", ""), figures),
        Text(f"\nlook at {document['picture']}"),
        Text(f"saved to {out} after {document['seconds']:.0f} s; next:"),
        Text(f"  isthmus sample {out} --out new.png"),
        Text(f"  isthmus search {out} PICTURE"),
        Text("  isthmus fit images YOUR_FOLDER --size 64 --out my.bundle"),
    )
