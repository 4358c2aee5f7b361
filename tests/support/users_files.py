"""The files that pages speak of, as users have them: written only where a page names one."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from pictured import bars
from PIL import Image

from isthmus_text.datasets import demo_sentences

ITEMS, PEOPLE = 60, 240
"""Item ids are 1 to ITEMS, user ids 1 to PEOPLE in ``ratings.csv``."""


def write_files(page: str) -> None:
    """Write what the page names into the current folder; nothing for names of the page's own making."""
    for name, write in WRITERS.items():
        if name in page:
            write(Path(name))


def people(first: int, count: int, seed: int) -> list[tuple[int, int, int, int]]:
    """Events of people who like the items of one of three kinds (the remainder of the id by 3): user, item, rating,
    time."""
    generator = np.random.default_rng(seed)
    rows = []
    for user in range(first, first + count):
        liked = [item for item in range(1, ITEMS + 1) if item % 3 == user % 3]
        for place, item in enumerate(generator.choice(liked, 10, replace=False)):
            rows.append((user, int(item), int(generator.integers(4, 6)), 1_700_000_000 + 1000 * place + user))
        other = int(generator.integers(1, ITEMS + 1))
        if other not in liked:
            rows.append((user, other, 2, 1_700_000_000))
    return rows


def table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


RATINGS = ("user", "item", "rating", "timestamp")


def _ratings(path: Path) -> None:
    table(path, RATINGS, people(1, PEOPLE, seed=0))


def _named_otherwise(path: Path) -> None:
    table(path, ("who", "movie", "stars", "when"), people(1, PEOPLE, seed=0))


def _more(path: Path) -> None:
    table(path, RATINGS, people(PEOPLE + 1, 60, seed=1))


def _movies(path: Path) -> None:
    kinds = ("comedy", "drama", "western")
    table(
        path,
        ("item", "title", "genres"),
        ((i, f"{kinds[i % 3].title()} {i}", kinds[i % 3]) for i in range(1, ITEMS + 4)),
    )


def _sentences(path: Path) -> None:
    lines = [line for line in demo_sentences().texts if 3 <= len(line.split()) <= 10]
    path.write_text("\n".join(lines[:400]) + "\n", encoding="utf-8")


def _held_out(path: Path) -> None:
    lines = [line for line in demo_sentences("test").texts if 3 <= len(line.split()) <= 10]
    path.write_text("\n".join(lines[:60]) + "\n", encoding="utf-8")


def _pictures(path: Path) -> None:
    for row, picture in enumerate(bars(80)):
        folder = path / ("lies", "stands")[row % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).resize((24, 24)).save(folder / f"{row:02d}.png")


def _picture(path: Path) -> None:
    Image.fromarray(bars(1)[0]).resize((24, 24)).save(path)


def _measurements(rows: int, seed: int, odd: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        generator = np.random.default_rng(seed)
        hidden = generator.normal(size=(rows, 2))
        values = hidden @ np.random.default_rng(1).normal(size=(2, 6)) + 0.1 * generator.normal(size=(rows, 6))
        values[:odd] = 3 * generator.normal(size=(odd, 6))
        values = values * [1, 10, 1, 100, 5, 1] + [20, 1000, 0, 50, 3, 7]
        header = ("station", "temperature", "pressure", "wind", "rain", "cloud", "sun")
        table(path, header, ((f"s{row}", *np.round(one, 3)) for row, one in enumerate(values)))

    return write


def _vectors(rows: int, seed: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        generator = np.random.default_rng(seed)
        centres = np.random.default_rng(9).normal(size=(20, 16))
        np.save(
            path, (centres[generator.integers(20, size=rows)] + generator.normal(size=(rows, 16))).astype(np.float32)
        )

    return write


WRITERS: dict[str, Callable[[Path], None]] = {
    "ratings.csv": _ratings,
    "films.csv": _named_otherwise,
    "new_ratings.csv": _more,
    "new_users.csv": _more,
    "movies.csv": _movies,
    "sentences.txt": _sentences,
    "held_out.txt": _held_out,
    "photographs": _pictures,
    "one.png": _picture,
    "measurements.csv": _measurements(400, seed=0, odd=0),
    "normal.csv": _measurements(400, seed=0, odd=0),
    "new.csv": _measurements(60, seed=5, odd=3),
    "vectors.npy": _vectors(2000, seed=0),
    "queries.npy": _vectors(20, seed=1),
}
