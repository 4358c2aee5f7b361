"""``isthmus demo``: all steps on real ratings of books."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Group, RenderableType
from rich.text import Text

from isthmus import plugins
from isthmus.cli.demos import Demonstration, demonstration
from isthmus.cli.output import Json, emit, table
from isthmus.core.rankers import Blend, ranker_of
from isthmus.ids import Id
from isthmus.protocols import Ranker
from isthmus.tasks.evaluation import Evaluation, evaluate
from isthmus_interactions.baselines import Popularity, item_neighbours
from isthmus_interactions.datasets import demo_goodbooks
from isthmus_interactions.recommender import Recommender
from isthmus_interactions.splits import FoldIn, Split, strong

COMMAND, EXPECTED = "isthmus demo", "about half a minute on two cores"

METRICS = ("recall_capped@20", "ndcg@100")
PARTS: dict[str, dict[str, Any]] = {
    "sparse-linear": {"regularisation": 25.0, "dropout": 0.3, "neighbours": 60},
    "rdlae": {"regularisation": 100.0, "dropout": 0.33, "xi": 0.6},
    "elsa": {"batch_size": 93, "epochs": 12},
}
"""Three autoencoders and their settings. These and the number of neighbours below were chosen on splits of the readers
who are not evaluated with seed 0."""

ITEM_NEIGHBOURS, NEIGHBOURS = "item neighbours", 20
BLEND = "blend of the three"

HELD_OUT = 250
"""Number of readers who choose the weights of the blend, and number of other readers for the comparison."""

READER = ("The Hobbit", "The Fellowship of the Ring", "Dune", "Foundation")
BOOK = "Pride and Prejudice"


@dataclass(frozen=True)
class Comparison:
    """Scores of the models on the same readers.

    Attributes:
        evaluations: by the name of the model, the blend last.
        shares: weights of the parts in the blend.
    """

    evaluations: Mapping[str, Evaluation]
    shares: Mapping[str, float]

    def lines(self) -> list[dict[str, Any]]:
        """For each model the mean and the standard error of each metric."""
        return [
            {"model": name, **{metric: _figure(one.means[metric], one.standard_errors[metric]) for metric in METRICS}}
            for name, one in self.evaluations.items()
        ]

    def ahead(self) -> dict[str, float]:
        """Mean of the paired differences between the blend and the item neighbours in the last metric."""
        blend, others = (self.evaluations[name].values[METRICS[-1]] for name in (BLEND, ITEM_NEIGHBOURS))
        apart = blend - others
        return _figure(float(apart.mean()), float(apart.std() / len(apart) ** 0.5))


def demo(
    out: Annotated[Path, typer.Option(help="Where to save the bundle.")] = Path("books.bundle"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the split and the models.")] = 0,
    as_json: Json = False,
) -> None:
    """Train on ratings of 2,000 books, compare models, recommend, explain and save. No network is needed."""
    with demonstration(COMMAND, out) as run:
        books, titles = demo_goodbooks()
        run.announce(f"goodbooks-10k, a sample: {len(books):,} readers, {len(books.items):,} books", EXPECTED)
        split = strong(books, held_out=HELD_OUT, seed=seed)
        named: dict[Id, str] = {id_: f"{title}, {authors.split(', ')[0]}" for id_, (title, authors) in titles.items()}
        parts = [{"model": plugins.python_name(name), "settings": settings} for name, settings in PARTS.items()]
        blend = run.train(
            lambda: Recommender.fit(
                split.train, "blend", parts=parts, validation=split.validation or 0.1, seed=seed, titles=named
            )
        )
        document = _document(blend, compared(blend, split), run)
        emit(document, as_json, lambda: _page(document))


def compared(blend: Recommender, split: Split) -> Comparison:
    """Evaluate the blend, its parts, item neighbours and popularity on readers who were not used in training.

    Args:
        blend: a blend of the models in ``PARTS``.
        split: its training data, and the readers to evaluate on.
    """
    model, fold = blend.model, split.test
    assert isinstance(model, Blend)
    rankers: dict[str, Ranker] = {
        "popularity": Popularity.of(split.train.matrix),
        ITEM_NEIGHBOURS: item_neighbours(split.train.matrix, NEIGHBOURS),
        **{name: ranker_of(part) for name, part in zip(PARTS, model.parts, strict=True)},
        BLEND: model,
    }
    last = blend.history.records[-1]
    shares = {name: float(last.get(f"share of {plugins.python_name(name)}", 0.0)) for name in PARTS}
    return Comparison({name: _scores(ranker, fold) for name, ranker in rankers.items()}, shares)


@torch.no_grad()
def _scores(ranker: Ranker, fold: FoldIn) -> Evaluation:
    return evaluate(ranker, fold.history, fold.held_out, METRICS)


def _figure(mean: float, error: float) -> dict[str, float]:
    return {"mean": mean, "standard_error": error}


def _document(blend: Recommender, comparison: Comparison, run: Demonstration) -> dict[str, Any]:
    by_title = {text.split(" (")[0].split(", ")[0]: id_ for id_, text in blend.titles.items()}
    reader, book = [by_title[title] for title in READER], by_title[BOOK]
    answer, near = blend.recommend([reader], 10)[0], blend.similar_items([book], 5)[0]
    return {
        "scores": comparison.lines(),
        "shares": comparison.shares,
        "ahead_of_item_neighbours": comparison.ahead(),
        "reader": _entries(blend, reader),
        "recommended": [
            {**entry, "because": _entries(blend, blend.explain(reader, entry["id"], 1).ids)[0]}
            for entry in _entries(blend, answer.ids, answer.scores)
        ],
        "book": _entries(blend, [book])[0],
        "similar": _entries(blend, near.ids, near.scores),
        "path": str(run.out),
        "seconds": run.seconds,
    }


def _entries(blend: Recommender, ids: Sequence[Id], scores: Sequence[float] | None = None) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = [{"id": id_, "title": blend.titles[id_]} for id_ in ids]
    return entries if scores is None else [{**one, "score": s} for one, s in zip(entries, scores, strict=True)]


def _page(document: Mapping[str, Any]) -> RenderableType:
    out, reader, book = document["path"], document["reader"], document["book"]
    rows = [(_labelled(line["model"], document["shares"]), *map(_shown, _figures(line))) for line in document["scores"]]
    ids = ",".join(str(entry["id"]) for entry in reader)
    first = document["recommended"][0]["id"]
    because = [(entry["title"], _short(entry["because"]["title"])) for entry in document["recommended"]]
    ahead = _shown(document["ahead_of_item_neighbours"])
    return Group(
        Text(f"\n{HELD_OUT} readers who were not in the training data; a fifth of each reader's books was hidden"),
        table(("", *METRICS), rows),
        Text(f"\nmean ± standard error, higher is better; in {METRICS[-1]}, the blend is {ahead}"),
        Text(f"above {ITEM_NEIGHBOURS} (paired difference)"),
        Text("\nA new reader likes"),
        *(Text(f"  {_short(one['title'])}") for one in reader),
        Text(""),
        table(("recommended", "because of"), because),
        Text(
            f"\nBooks similar to {book['title']}\n" + "\n".join(f"  {entry['title']}" for entry in document["similar"])
        ),
        Text(f"\nsaved to {out} after {document['seconds']:.0f} s; next:"),
        Text(f'  isthmus recommend {out} --history "{ids}"'),
        Text(f"  isthmus similar {out} --item {book['id']}"),
        Text(f'  isthmus explain {out} --history "{ids}" --item {first}'),
        Text(f"  isthmus info {out}"),
        Text("  isthmus fit interactions YOUR_FILE.csv --out my.bundle"),
    )


def _labelled(name: str, shares: Mapping[str, float]) -> str:
    return f"{name} ({shares[name]:.0%} of the blend)" if name in shares else name


def _figures(line: Mapping[str, Any]) -> list[Mapping[str, float]]:
    return [line[metric] for metric in METRICS]


def _shown(figure: Mapping[str, float]) -> str:
    return f"{figure['mean']:.3f} ± {figure['standard_error']:.3f}"


def _short(title: str) -> str:
    """The title without the series."""
    return title.split(" (")[0].split(", ")[0]
