"""``isthmus demo images``: the whole way, on clothes or on handwritten digits."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer
from rich.console import Group, RenderableType
from rich.text import Text

from isthmus import bundle
from isthmus.cli.output import Json, emit, status, table
from isthmus.cli.progress import RichProgress
from isthmus.errors import InputError, SourceError
from isthmus.training.run import Run
from isthmus_images import contact_sheet
from isthmus_images.autoencoder import ImageAutoencoder
from isthmus_images.datasets import digits, fashion_mnist
from isthmus_images.denoising import noised
from isthmus_images.images import Images

MODEL = "denoising"
"""It can do all that is shown: the noise that it learned to take away also keeps its codes smooth."""

NOISE = 0.25
MOST = 20_000
"""Images that are trained on: enough to see what comes out, in the time there is."""

ASKED = 2_000
COLUMNS = 12


@dataclass(frozen=True)
class Data:
    """What the demo shows.

    Attributes:
        name: of the data set.
        settings: of the model.
    """

    name: str
    train: Images
    test: Images
    settings: dict[str, Any]


def demo(
    out: Annotated[Path, typer.Option(help="Where to save the bundle.")] = Path("images.bundle"),
    picture: Annotated[Path, typer.Option(help="Where to save the sheet of images.")] = Path("images.png"),
    seed: Annotated[int, typer.Option(min=0, help="Of the model, the noise and the samples.")] = 0,
    as_json: Json = False,
) -> None:
    """Train on clothes (or digits), clean noisy ones, sample, interpolate, search, and draw a sheet of it all."""
    started = time.perf_counter()
    bundle.check_target(out)
    if picture.is_dir() or picture.suffix.lower() != ".png":
        raise InputError(f"a sheet {str(picture)!r}", expected="a name that ends in .png")
    data = chosen()
    status(f"{data.name}: {len(data.train):,} images of {data.train.size[0]} x {data.train.size[1]}")
    run = Run(seed=seed, progress=RichProgress())
    model = ImageAutoencoder.fit(data.train, MODEL, run=run, **data.settings)
    if model.history.interrupted:
        raise KeyboardInterrupt
    model.save(out)
    contact_sheet.sheet(rows_of(model, data, seed)).save(picture)
    found = model.evaluate(data.test, noise=NOISE, seed=seed).to_json()
    document = {
        "data": data.name,
        "trained_on": len(data.train),
        "asked": len(data.test),
        **{name: found[name] for name in ("mse", "psnr", "noisy_psnr", "denoised_psnr")},
        "picture": str(picture),
        "path": str(out),
        "seconds": round(time.perf_counter() - started, 1),
    }
    emit(document, as_json, lambda: _page(document))


def chosen() -> Data:
    """Fashion-MNIST where it is to be found, else the digits of scikit-learn."""
    shared = {"noise": "gaussian", "level": NOISE, "code": 64, "batch_size": 128, "learning_rate": 2e-3}
    try:
        train, test = fashion_mnist("train"), fashion_mnist("test")
    except SourceError:
        small = {**shared, "code": 16, "hidden": 128, "batch_size": 64, "epochs": 60}
        return Data("Handwritten digits", digits("train"), digits("test"), small)
    few = np.arange(min(MOST, len(train)))
    return Data(
        "Fashion-MNIST", train.select(few), test.select(np.arange(min(ASKED, len(test)))), shared | {"epochs": 14}
    )


def rows_of(model: ImageAutoencoder, data: Data, seed: int) -> list[contact_sheet.Row]:
    """The rows of the sheet; all images but the neighbours were not trained on."""
    shown = one_of_each(data.test, COLUMNS)
    noisy = noised(shown, NOISE, seed)
    near = [[found.row for found in answers] for answers in model.search(shown.select(range(3)), COLUMNS - 1)]
    first, last = shown.select([0]), shown.select([9])
    return [
        ("held out", shown.array()),
        (f"with noise of {NOISE}", np.clip(noisy.array(), 0, 1)),
        ("cleaned", model.denoise(noisy)),
        ("written back from the code", model.reconstruct(shown)),
        ("from one to another", model.interpolate(first, last, COLUMNS)),
        ("from codes drawn by chance", model.sample(2 * COLUMNS, seed=seed)[:COLUMNS]),
        ("", model.sample(2 * COLUMNS, seed=seed)[COLUMNS:]),
        *(
            ("held out, and the nearest it was trained on" if row == 0 else "", _beside(shown, row, data.train, rows))
            for row, rows in enumerate(near)
        ),
    ]


def one_of_each(images: Images, count: int) -> Images:
    """The first image of each label, in the order of the labels, then others, ``count`` in all."""
    labels = images.labels or images.names
    firsts = sorted({label: row for row, label in reversed(list(enumerate(labels)))}.items())
    rows = [row for _, row in firsts][:count]
    rest = (row for row in range(len(images)) if row not in set(rows))
    return images.select([*rows, *(next(rest) for _ in range(count - len(rows)))])


def _beside(shown: Images, row: int, train: Images, rows: list[int]) -> npt.NDArray[np.generic]:
    return np.concatenate([shown.select([row]).array(), train.select(rows).array()])


def _page(document: dict[str, Any]) -> RenderableType:
    out, asked = document["path"], f"{document['asked']:,} images that were held out"
    return Group(
        table(
            (asked, "dB"),
            [
                ("written back from a code", document["psnr"]),
                (f"with noise of {NOISE}", document["noisy_psnr"]),
                ("with that noise taken away", document["denoised_psnr"]),
            ],
        ),
        Text(f"\nlook at {document['picture']}"),
        Text(f"saved to {out} after {document['seconds']:.0f} s; next:"),
        Text(f"  isthmus sample {out} --out new.png"),
        Text(f"  isthmus search {out} PICTURE"),
        Text("  isthmus fit images YOUR_FOLDER --size 64 --out my.bundle"),
    )
