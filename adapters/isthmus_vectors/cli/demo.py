"""``isthmus demo vectors``: anomalies in a real table, and word vectors in a few bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
import typer
from rich.console import Group, RenderableType
from rich.text import Text

from isthmus.cli.demos import Demonstration, demonstration
from isthmus.cli.output import Json, emit, status, table
from isthmus.errors import MissingLibraryError
from isthmus.index.exact.searcher import ExactSearcher
from isthmus.plots.drawing import blank, save
from isthmus_vectors.cli import demo_picture
from isthmus_vectors.compressor import Compressor
from isthmus_vectors.datasets import Tumours, Words, demo_words, tumours
from isthmus_vectors.detection import Detector

COMMAND, EXPECTED = "isthmus demo vectors", "about a minute on two cores"

SETTINGS: dict[str, Any] = {}
"""Settings of the detector: its defaults, chosen without labels."""

NORMAL = 200
"""Number of benign training rows; there are no malignant ones among them."""

MOST_ANOMALOUS, REASONS = 3, 3

SIZES = (5, 10, 20)
"""Code lengths in bytes; FAISS's product quantiser needs divisors of 100."""

WHOLE = 400
"""Number of bytes of 100 float32 numbers."""

QUERIES, K = 1000, 10
SHOWN = ("violin", "lawyer", "january", "france", "horse")
PICTURED = tuple(word for group in demo_picture.GROUPS.values() for word in group)
NEAREST = 5
USELESS = 0.6
"""Random scores have an AUROC of 0.5."""


@dataclass(frozen=True, eq=False)
class Anomalies:
    """Scores of held-out rows.

    Attributes:
        scores: higher is more anomalous.
        malignant: diagnosis of each row.
        threshold: rows above it are flagged.
        document: metrics, and the most anomalous rows.
    """

    scores: npt.NDArray[np.float64]
    malignant: npt.NDArray[np.bool_]
    threshold: float
    document: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Compression:
    """Compressed word vectors.

    Attributes:
        data: the words.
        decoded: their vectors, decoded from the largest of ``SIZES``.
        document: recall by number of bytes, and words with their neighbours.
    """

    data: Words
    decoded: npt.NDArray[np.float32]
    document: dict[str, Any]


def demo(
    out: Annotated[Path, typer.Option(help="Where to save the detector's bundle.")] = Path("vectors.bundle"),
    picture: Annotated[Path, typer.Option(help="Where to save the picture.")] = Path("vectors.png"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the models and of the held-out data.")] = 0,
    as_json: Json = False,
) -> None:
    """Detect malignant tumours as anomalies, and compress word vectors to a few bytes; draw a picture of both."""
    with demonstration(COMMAND, out, picture) as run:
        data = tumours()
        run.announce(f"Wisconsin breast cancer: {len(data.malignant)} tumours, 30 measurements each", EXPECTED)
        judged = _judged(data, seed, run)
        compressed = compression(demo_words(), seed)
        document = {
            "tumours": judged.document,
            "words": compressed.document,
            "picture": _drawn(judged, compressed, picture),
            "path": str(out),
            "seconds": run.seconds,
        }
        for fault in faults(document):
            status(f"warning: {fault}")
        emit(document, as_json, lambda: _page(document))


def _judged(data: Tumours, seed: int, run: Demonstration) -> Anomalies:
    """Train a detector, save it, and score the held-out rows."""
    generator = np.random.default_rng(seed)
    benign = generator.permutation(np.flatnonzero(~data.malignant))
    unseen_rows = np.sort(np.concatenate([benign[NORMAL:], np.flatnonzero(data.malignant)]))
    normal = data.rows.take(benign[:NORMAL])
    detector = run.train(lambda: Detector.fit(normal, device="cpu", precision="fp32", seed=seed, **SETTINGS))
    return anomalies(detector, normal, data.rows.take(unseen_rows), data.malignant[unseen_rows], seed)


def anomalies(
    detector: Detector, normal: pa.Table, rows: pa.Table, malignant: npt.NDArray[np.bool_], seed: int
) -> Anomalies:
    """Score held-out rows with the detector.

    Args:
        detector: the trained detector.
        normal: its training rows; an isolation forest is trained on the same rows.
        rows: rows to score.
        malignant: diagnosis of these rows.
        seed: seed of the forest.
    """
    # Imported here, like FAISS below, because no other command of this adapter needs it.
    from sklearn.ensemble import IsolationForest
    from sklearn.metrics import roc_auc_score

    scores, threshold = detector.anomaly_scores(rows), detector.threshold.value
    forest = IsolationForest(random_state=seed).fit(_array(normal))
    flagged, reasons = scores > threshold, detector.explain(rows)
    first = np.argsort(-scores, kind="stable")[:MOST_ANOMALOUS]
    document = {
        "learned_from": len(normal),
        "benign": int((~malignant).sum()),
        "malignant": int(malignant.sum()),
        "auroc": float(roc_auc_score(malignant, scores)),
        "isolation_forest_auroc": float(roc_auc_score(malignant, -forest.score_samples(_array(rows)))),
        "malignant_flagged": float(flagged[malignant].mean()),
        "benign_flagged": float(flagged[~malignant].mean()),
        "most_anomalous": [
            {
                "score": float(scores[row]),
                "malignant": bool(malignant[row]),
                "columns": [rows.column_names[place] for place in np.argsort(-reasons[row])[:REASONS]],
            }
            for row in first
        ],
    }
    return Anomalies(scores, malignant, threshold, document)


def compression(data: Words, seed: int) -> Compression:
    """Fit one compressor, whose shorter codes are leading bytes, and a product quantiser for each size."""
    from isthmus.index.faiss.product_quantiser import product_quantised

    status(f"GloVe: {len(data.words):,} words, vectors of 100 numbers, {WHOLE} bytes; the codebooks take a while")
    order = np.random.default_rng(seed).permutation(len(data.words))
    queries, kept = data.vectors[np.sort(order[:QUERIES])], data.vectors[np.sort(order[QUERIES:])]
    compressor = Compressor.fit(kept, bytes=SIZES[-1], device="cpu", seed=seed)
    best = nearest(queries, kept, K)
    recalls = []
    for size in SIZES:
        ours = compressor.decode(compressor.encode(kept, size))
        theirs = product_quantised(kept, kept, size, seed=seed)
        recalls.append(
            {
                "bytes": size,
                "recall": recall(best, nearest(queries, ours, K)),
                "product_quantisation_recall": recall(best, nearest(queries, theirs, K)),
            }
        )
    decoded = compressor.decode(compressor.encode(data.vectors))
    document = {
        "searched": len(kept),
        "queries": QUERIES,
        "whole_bytes": WHOLE,
        "recalls": recalls,
        "neighbours": [_neighbours(data, decoded, word) for word in SHOWN],
    }
    return Compression(data, decoded, document)


def nearest(queries: npt.NDArray[Any], vectors: npt.NDArray[Any], k: int) -> npt.NDArray[np.int64]:
    """The rows with the largest cosine, largest first, shape (queries, k)."""
    searcher = ExactSearcher.over(torch.from_numpy(vectors).float(), "cosine")
    found: npt.NDArray[np.int64] = searcher.search(torch.from_numpy(queries).float(), k).rows.numpy()
    return found


def recall(meant: npt.NDArray[np.int64], found: npt.NDArray[np.int64]) -> float:
    """The share of ``meant`` that is in the same row of ``found``."""
    return float((meant[:, :, None] == found[:, None, :]).any(2).mean())


def _neighbours(data: Words, decoded: npt.NDArray[Any], word: str) -> dict[str, Any]:
    row = data.words.index(word)
    found = {}
    for name, vectors in (("whole", data.vectors), ("compressed", decoded)):
        rows = [other for other in nearest(data.vectors[[row]], vectors, NEAREST + 1)[0] if other != row]
        found[name] = [data.words[other] for other in rows[:NEAREST]]
    return {"word": word, **found}


def _array(rows: pa.Table) -> npt.NDArray[np.float64]:
    return np.stack([column.to_numpy() for column in rows.columns], axis=1)


def _drawn(judged: Anomalies, compressed: Compression, path: Path) -> str | None:
    """The path of the picture; None if Matplotlib is not installed."""
    try:
        figure = blank(*demo_picture.INCHES)
    except MissingLibraryError as error:
        status(f"no picture: {error}")
        return None
    scores, places = figure.add_subplot(1, 3, 1), (figure.add_subplot(1, 3, 2), figure.add_subplot(1, 3, 3))
    demo_picture.draw_scores(scores, judged.scores, judged.malignant, judged.threshold, judged.document["auroc"])
    demo_picture.draw_recalls(places[0], compressed.document["recalls"], WHOLE)
    data = compressed.data
    demo_picture.draw_words(places[1], data.words, data.vectors, compressed.decoded, SIZES[-1])
    path.parent.mkdir(parents=True, exist_ok=True)
    return str(save(figure, path))


def faults(document: Mapping[str, Any]) -> list[str]:
    """Poor results, judged by the demo's own metrics."""
    found, words = [], document["words"]
    if document["tumours"]["auroc"] < USELESS:
        found.append(
            f"an AUROC of {document['tumours']['auroc']:.2f}: the scores hardly separate malignant from benign"
        )
    lost = [line["bytes"] for line in words["recalls"] if _finds_less(line)]
    if lost:
        found.append(f"product quantisation finds more neighbours at {', '.join(map(str, lost))} bytes")
    return found


def _finds_less(line: Mapping[str, int | float]) -> bool:
    return line["recall"] < line["product_quantisation_recall"]


def _page(document: Mapping[str, Any]) -> RenderableType:
    out, found, words = document["path"], document["tumours"], document["words"]
    unseen = f"{found['benign']} benign and {found['malignant']} malignant tumours"
    rows = [
        ("AUROC (1 is perfect, 0.5 is random)", f"{found['auroc']:.3f}"),
        ("AUROC of an isolation forest trained on the same rows", f"{found['isolation_forest_auroc']:.3f}"),
        ("malignant tumours that are flagged", f"{found['malignant_flagged']:.0%}"),
        ("benign tumours that are flagged", f"{found['benign_flagged']:.0%}"),
    ]
    return Group(
        Text(f"A detector trained on {found['learned_from']} benign tumours only"),
        table((f"scored: {unseen}", ""), rows),
        Text("\nthe most anomalous tumours, and their most unusual measurements"),
        *(Text(f"  {_named(one['malignant'])}: {', '.join(one['columns'])}") for one in found["most_anomalous"]),
        *_words_page(words),
        *([] if document["picture"] is None else [Text(f"\nlook at {document['picture']}")]),
        Text(f"\nthe detector is saved to {out} after {document['seconds']:.0f} s; next:"),
        Text(f"  isthmus info {out}"),
        Text("  isthmus fit vectors YOUR_FILE.csv --model auto --out my.bundle"),
        Text("  isthmus anomalies my.bundle NEW_ROWS.csv"),
    )


def _words_page(words: Mapping[str, Any]) -> Sequence[RenderableType]:
    lines = [
        (
            f"{line['bytes']} bytes, {words['whole_bytes'] // line['bytes']} times smaller",
            f"{line['recall']:.0%}",
            f"{line['product_quantisation_recall']:.0%}",
        )
        for line in words["recalls"]
    ]
    near = [(one["word"], ", ".join(one["whole"]), ", ".join(one["compressed"])) for one in words["neighbours"]]
    return (
        Text(f"\n{words['searched']:,} word vectors: share of the {K} nearest that is found"),
        table(("stored in", "isthmus", "FAISS product quantisation"), lines),
        Text(""),
        table(("nearest to", f"in {WHOLE} bytes", f"in {SIZES[-1]} bytes"), near),
    )


def _named(malignant: bool) -> str:
    return "malignant" if malignant else "benign"
