"""What is spoilt: bundles of every model, indexes of every kind, and files that people hand over."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from scipy.sparse import random_array, save_npz

import isthmus
from isthmus.errors import IsthmusError
from isthmus.index import Index
from isthmus.training.run import Run
from isthmus_images.images import Images
from isthmus_interactions.cold_start.features import ItemFeatures
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.recommender import Recommender
from isthmus_text.texts import Texts
from isthmus_vectors.vectors import Vectors

BUNDLES = Path(__file__).parents[2] / "tests" / "data" / "bundles-0.1"
KINDS = ("exact", "ivf", "ivf-pq", "rabitq", "hnsw", "hnsw-short", "sq8")


@dataclass(frozen=True)
class Artefact:
    """Something on disk that can be read and asked.

    Attributes:
        path: a bundle, or a file.
        ask: reads what stands at a path, and answers with a digest of all that it says.
    """

    path: Path
    ask: Callable[[Path], str]

    @property
    def is_folder(self) -> bool:
        """Whether it is a bundle, or a folder of bundles."""
        return self.path.is_dir()

    @property
    def holds_bundles(self) -> bool:
        """Whether it is a folder of bundles."""
        return self.is_folder and not (self.path / "manifest.json").is_file()


def bundles(folder: Path, *, small: bool = False) -> list[Artefact]:
    """A bundle of every model, saved anew by the code at hand, and an index of every kind.

    Args:
        folder: where they are saved.
        small: one of each face and three indexes, for a look.
    """
    found = []
    chosen = ("interactions-ease", "text-variational", "images-vanilla", "vectors-vanilla", "vectors-detector")
    for old in sorted(path for path in BUNDLES.iterdir() if path.is_dir()):
        if small and old.name not in chosen:
            continue
        isthmus.load(old).save(folder / old.name)
        found.append(Artefact(folder / old.name, answers))
    later = [] if small else list(_later(folder))
    return found + later + list(_indexes(folder, KINDS[:3] if small else KINDS))


def _later(folder: Path) -> Iterator[Artefact]:
    """Models, and parts of bundles, that version 0.1 did not have."""
    draws = np.random.default_rng(0)
    users, step = np.repeat(np.arange(150), 8), np.tile(np.arange(8), 150)
    items = (users % 4 * 10 + step + draws.integers(0, 3, len(users))) % 40
    data = Interactions.read((users, items), ordered=True)
    tags = ItemFeatures.of(range(42), np.eye(4, dtype=np.float32)[np.arange(42) // 10 % 4])
    run = Run(device="cpu", precision="fp32")
    network = {"hidden": 8, "layers": 1, "length": 6, "epochs": 2}

    def fitted(model: str, **options: Any) -> Recommender:
        return Recommender.fit(data, model, **{"validation": 0.0, "run": run, **options})

    made = {
        "low-pass": fitted("low-pass", vectors=4),
        "sequence-linear": fitted("sequence-linear"),
        "sequence-recommender": fitted("sequence-recommender", **network),
        "sequence-codes": fitted("sequence-recommender", **network, variational=True, timed=False),
        "half-life": fitted("ease", decay=3),
        "calibrated": fitted("edlae", validation=0.4),
        "changed": fitted("ease").learn(([200, 200], [1, 2])),
        "featured": fitted("ease", features=tags, feature_weight=1.0),
    }
    assert made["calibrated"].calibration is not None
    for name, model in made.items():
        model.save(folder / f"later-{name}")
        yield Artefact(folder / f"later-{name}", answers)


def _indexes(folder: Path, kinds: tuple[str, ...]) -> Iterator[Artefact]:
    vectors = np.random.default_rng(0).standard_normal((240, 8))
    for number, kind in enumerate(kinds):
        names = [f"id {row}" for row in range(240)] if number % 2 else list(range(240))
        metric: Any = ("ip", "cosine", "l2")[number % 3]
        index = Index.build(vectors, names, kind=kind, target_recall=0.05, metric=metric)
        index.remove(names[:5])
        index.add(vectors[:4] + 1, [f"late {row}" for row in range(4)] if number % 2 else list(range(900, 904)))
        index.save(folder / f"index-{kind}")
        yield Artefact(folder / f"index-{kind}", answers)


def answers(path: Path) -> str:
    """What the bundle at a path answers."""
    model = isthmus.load(path)
    asked: list[Any] = [type(model).__name__]
    if isinstance(model, Index):
        queries = np.linspace(-1, 1, 3 * model.width).reshape(3, -1)
        found = model.search(queries, 7, exclude=[[1], [], [2, 3]])
        asked += [found.ids, [_plain(one) for one in found.scores], model.within(queries, 0.5).ids, len(model)]
    else:
        asked += [_tried(ask, model) for verb, ask in VERBS.items() if hasattr(model, verb)]
    return digest(asked)


def _tried(ask: Callable[[Any], Any], model: Any) -> Any:
    try:
        return _plain(ask(model))
    except IsthmusError as error:
        return type(error).__name__  # not every model can do everything


def _of_recommender(model: Any) -> Any:
    told = model.calibration is not None
    best = model.recommend([[0, 10, 20], [90, 120], []], k=5, calibrated=told)
    # Without its first user, if it can change exactly: that asks all that is stored for it.
    rest = [] if model.fitted.inverse is None else _of_recommender(model.forget(users=[0]))
    return [rest, *([list(one.ids), _plain(one.scores), list(one.chances) if told else 0] for one in best)]


def _coded(model: Any) -> Any:
    match type(model).__name__:
        case "TextAutoencoder":
            return model.encode(["a dog eats here", "", "an unheard word"])
        case "ImageAutoencoder":
            return model.encode(np.arange(432, dtype=np.int64).astype(np.uint8).reshape(3, 12, 12))
        case _:
            return model.encode(np.linspace(-1, 1, 32, dtype=np.float32).reshape(4, 8))


def _found(model: Any) -> Any:
    if type(model).__name__ == "Compressor" or model.fitted.gallery is None:
        return 0
    asked: Any = ["a dog eats here"] if type(model).__name__ == "TextAutoencoder" else None
    if asked is None:
        pictures = type(model).__name__ == "ImageAutoencoder"
        asked = np.zeros((1, 12, 12), np.uint8) if pictures else np.ones((1, 8), np.float32)
    return [[hit.row, round(float(hit.score), 5)] for hit in model.search(asked, 3)[0]]


VERBS: dict[str, Callable[[Any], Any]] = {
    "recommend": _of_recommender,
    "encode": _coded,
    "anomaly_scores": lambda model: (
        model.anomaly_scores(np.linspace(-1, 1, 32, dtype=np.float32).reshape(4, 8))
        if type(model).__name__ in ("Detector", "VectorAutoencoder")
        else 0
    ),
    "search": lambda model: _found(model),
}


def _plain(numbers: Any) -> Any:
    return numbers if isinstance(numbers, list) else np.asarray(numbers, dtype=np.float64).round(6).tolist()


def digest(values: Any) -> str:
    """Of JSON values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


# --- files that people hand over -------------------------------------------------------------------------------------


def inputs(folder: Path) -> list[Artefact]:
    """Files of every format that an adapter reads."""
    generator = np.random.default_rng(0)
    _tables(folder, generator)
    _arrays(folder, generator)
    _pictures(folder, generator)
    names = {
        **dict.fromkeys(("events.csv", "events.parquet", "events.jsonl", "events.csv.gz"), _interactions),
        **dict.fromkeys(("a.csv", "a.parquet", "a.npy", "csr.npz", "csc.npz", "coo.npz", "dia.npz"), _vectors),
        **dict.fromkeys(("t.txt", "t.csv", "t.parquet"), _texts),
        **dict.fromkeys(("p.png", "p.jpg", "p.tif", "p.npy", "p.npz", "p-idx3-ubyte.gz"), _images),
        **dict.fromkeys(("v.npy", "v.parquet", "v.csv"), _indexed),
    }
    return [Artefact(folder / name, ask) for name, ask in names.items()]


def _tables(folder: Path, generator: np.random.Generator) -> None:
    events = {
        "user": generator.integers(0, 30, 300),
        "item": [f"i{item}" for item in generator.integers(0, 40, 300)],
        "rating": generator.integers(1, 6, 300),
        "timestamp": generator.integers(10**9, 2 * 10**9, 300),
    }
    table = pa.table(events)
    pq.write_table(table, folder / "events.parquet")
    _csv(table, folder / "events.csv")
    (folder / "events.csv.gz").write_bytes(gzip.compress((folder / "events.csv").read_bytes()))
    lines = "".join(json.dumps(row) + "\n" for row in table.to_pylist())
    (folder / "events.jsonl").write_text(lines, encoding="utf-8")
    texts = pa.table({"text": [f"the cat {n} sits on märchen, or “so” {n * n}" for n in range(60)], "n": range(60)})
    pq.write_table(texts, folder / "t.parquet")
    _csv(texts, folder / "t.csv")
    (folder / "t.txt").write_text("\n".join(texts["text"].to_pylist()) + "\n", encoding="utf-8")
    numbers = pa.table({f"c{n}": generator.standard_normal(50) for n in range(6)})
    pq.write_table(numbers, folder / "a.parquet")
    _csv(numbers, folder / "a.csv")
    vectors = pa.table({"id": range(50), **{f"c{n}": generator.standard_normal(50) for n in range(6)}})
    pq.write_table(vectors, folder / "v.parquet")
    _csv(vectors, folder / "v.csv")


def _csv(table: pa.Table, path: Path) -> None:
    rows = [",".join(table.column_names)]
    rows += [
        ",".join(f'"{cell}"' if isinstance(cell, str) else str(cell) for cell in row.values())
        for row in table.to_pylist()
    ]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def _arrays(folder: Path, generator: np.random.Generator) -> None:
    np.save(folder / "a.npy", generator.standard_normal((40, 7)))
    np.save(folder / "v.npy", generator.standard_normal((40, 7)).astype(np.float32))
    np.save(folder / "p.npy", generator.integers(0, 256, (9, 12, 12), dtype=np.uint8))
    np.savez(folder / "p.npz", a=generator.integers(0, 256, (9, 12, 12), dtype=np.uint8))
    for kind in ("csr", "csc", "coo", "dia"):
        made = random_array((40, 20), density=0.2, rng=generator, format="csr").asformat(kind)
        save_npz(folder / f"{kind}.npz", made, compressed=kind == "coo")


def _pictures(folder: Path, generator: np.random.Generator) -> None:
    picture = Image.fromarray(generator.integers(0, 256, (16, 20, 3), dtype=np.uint8))
    for name in ("p.png", "p.jpg", "p.tif"):
        picture.save(folder / name)
    pixels = generator.integers(0, 256, (5, 10, 10), dtype=np.uint8)
    head = b"\0\0\x08\x03" + b"".join(size.to_bytes(4, "big") for size in pixels.shape)
    (folder / "p-idx3-ubyte.gz").write_bytes(gzip.compress(head + pixels.tobytes()))


def _interactions(path: Path) -> str:
    read = Interactions.read(path)
    return digest([read.users.take(range(len(read))), read.matrix.indices.tolist(), read.matrix.data.sum().item()])


def _vectors(path: Path) -> str:
    read = Vectors.read(path)
    sums = [float(block.dense().sum()) for block in read.blocks()]
    return digest([len(read), read.width, sums])


def _texts(path: Path) -> str:
    read = Texts.read(path)
    return digest([read[place] for place in range(min(len(read), 1000))])


def _images(path: Path) -> str:
    read = Images.read(path)
    return digest([len(read), float(read.array().sum())])


def _indexed(path: Path) -> str:
    index = Index.build(path)
    return digest([index.search(np.ones((2, index.width)), 5).ids, len(index)])
