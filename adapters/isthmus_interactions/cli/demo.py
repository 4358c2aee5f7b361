"""``isthmus demo``: the whole way, on books that users really rated."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from isthmus import bundle, plugins
from isthmus.cli.output import Json, emit, status, table
from isthmus.protocols import Ranker
from isthmus.tasks.evaluation import evaluate
from isthmus.training.run import Run
from isthmus.vocabulary import Id
from isthmus_interactions.baselines import Popularity, item_neighbours
from isthmus_interactions.cli import documents
from isthmus_interactions.datasets import demo_goodbooks
from isthmus_interactions.recommender import Recommender
from isthmus_interactions.splits import FoldIn, Split, strong

METRICS = ("recall_capped@20", "ndcg@100")
MODELS: dict[str, dict[str, Any]] = {
    "ease": {"regularisation": 100.0},
    "rdlae": {"regularisation": 50.0, "dropout": 0.5, "xi": 0.3},
    "mult-dae": {"epochs": 50, "batch_size": 100},
    "mult-vae": {"epochs": 40, "batch_size": 100},
}
"""Settings were chosen on validation readers; the demo then chooses among the models on validation readers, too."""

READER = ("The Hobbit", "The Fellowship of the Ring", "Dune", "Foundation")
BOOK = "Pride and Prejudice"


def demo(
    out: Annotated[Path, typer.Option(help="Where to save the bundle.")] = Path("books.bundle"),
    seed: Annotated[int, typer.Option(min=0, help="Of the split and the models.")] = 0,
    as_json: Json = False,
) -> None:
    """Train on 2,000 books and 2,622 readers, compare, recommend, and save; no network is used."""
    started = time.perf_counter()
    bundle.check_target(out)
    books, titles = demo_goodbooks()
    status(f"goodbooks-10k, a sample: {len(books):,} readers, {len(books.items):,} books")
    split = strong(books, held_out=250, seed=seed)
    named: dict[Id, str] = {id_: f"{title}, {author}" for id_, (title, author) in titles.items()}
    tried = _tried(split, named, seed)
    scores = [*_baselines(split), *((name, _scores(made.ranker, split.test)) for name, made in tried)]
    best_name, best = max(tried, key=lambda pair: pair[1].history.best_score or 0.0)
    best.save(out)
    document = _document(best_name, best, scores, out, started)
    emit(document, as_json, lambda: _page(document))


def _tried(split: Split, titles: dict[Id, str], seed: int) -> list[tuple[str, Recommender]]:
    tried: list[tuple[str, Recommender]] = []
    for name, settings in MODELS.items():
        status(f"training {name}")
        run = Run.gather(seed=seed)
        made = Recommender.fit(split.train, name, validation=_fold(split), run=run, titles=titles, **settings)
        if made.history.interrupted:
            raise KeyboardInterrupt
        tried.append((name, made))
    return tried


def _fold(split: Split) -> FoldIn:
    assert split.validation is not None
    return split.validation


def _baselines(split: Split) -> list[tuple[str, dict[str, tuple[float, float]]]]:
    rankers: list[tuple[str, Ranker]] = [
        ("popularity", Popularity.of(split.train.matrix)),
        ("item nearest neighbours", item_neighbours(split.train.matrix)),
    ]
    return [(name, _scores(ranker, split.test)) for name, ranker in rankers]


def _scores(ranker: Ranker, fold: FoldIn) -> dict[str, tuple[float, float]]:
    measured = evaluate(ranker, fold.history, fold.held_out, METRICS)
    return {name: (measured.means[name], measured.standard_errors[name]) for name in METRICS}


def _document(
    name: str,
    best: Recommender,
    scores: Sequence[tuple[str, dict[str, tuple[float, float]]]],
    out: Path,
    started: float,
) -> dict[str, Any]:
    by_title = {text.split(" (")[0].split(", ")[0]: id_ for id_, text in best.titles.items()}
    reader = [by_title[title] for title in READER]
    book = by_title[BOOK]
    (answer,), (near,) = best.recommend([reader], 10), best.similar_items([book], 5)
    return {
        "scores": [
            {"model": model, **{m: {"mean": mean, "standard_error": error} for m, (mean, error) in values.items()}}
            for model, values in scores
        ],
        "chosen": name,
        "reader": [{"id": id_, "title": best.titles[id_]} for id_ in reader],
        "recommended": documents.answer_document(best, answer)["items"],
        "book": {"id": book, "title": best.titles[book]},
        "similar": documents.answer_document(best, near)["items"],
        "path": str(out),
        "seconds": round(time.perf_counter() - started, 1),
    }


def _page(document: dict[str, Any]) -> RenderableType:
    out, reader, book = document["path"], document["reader"], document["book"]
    rows = [
        [line["model"], *(f"{line[m]['mean']:.3f} ± {line[m]['standard_error']:.3f}" for m in METRICS)]
        for line in document["scores"]
    ]
    ids = ",".join(str(entry["id"]) for entry in reader)
    return Group(
        Text("250 readers who were in no training data (mean ± standard error)"),
        table(("model", *METRICS), rows),
        Text(f"\nchosen on 250 other readers: {plugins.command_name(document['chosen'])}"),
        Text("\nA reader who was not in the data likes\n" + "\n".join(f"  {entry['title']}" for entry in reader)),
        Text("and is recommended\n" + "\n".join(f"  {entry['title']}" for entry in document["recommended"])),
        Text(f"\nBooks like {book['title']}\n" + "\n".join(f"  {entry['title']}" for entry in document["similar"])),
        Text(f"\nsaved to {out} after {document['seconds']:.0f} s; next:"),
        Text(f'  isthmus recommend {out} --history "{ids}"'),
        Text(f"  isthmus similar {out} --item {book['id']}"),
        Text(f'  isthmus explain {out} --history "{ids}" --item {document["recommended"][0]["id"]}'),
        Text(f"  isthmus info {out}"),
        Text("  isthmus fit interactions YOUR_FILE.csv --out my.bundle"),
    )
