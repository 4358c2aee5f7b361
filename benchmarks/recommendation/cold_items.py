"""How well are items without interactions ranked by their features?

A fifth of the items is hidden from training, and so are a fifth of the people (strong generalisation): those are told
what they touched of the other items. Two rankings are measured:

- ``hidden items only``: of hidden items alone, held against all hidden items that the person touched;
- ``all items``: a fifth of what each person touched is held out, hidden items in it or not; hidden items that are not
  held out are excluded from the answers like everything else that was touched, but the model is told of none of them.

Rivals: content nearest neighbours (the sum over the history of cosines of features to the power p, p chosen on people
and items of the training data) and popularity, which for hidden items is all 0 and therefore predicted from features
by ridge regression of log counts. "oracle popularity" ranks by the true counts of the hidden items, which nobody has.
"""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
import typer

from benchmarks.harness import Line, Results, Smoke, chosen, mark, markdown, newest
from isthmus.datafolder import dataset_path, unpacked
from isthmus.metrics.ranking import METRICS, judge
from isthmus.rowlists import from_csr
from isthmus.training.run import Run
from isthmus_interactions.cold_start.extend import FACTS
from isthmus_interactions.cold_start.features import ItemFeatures
from isthmus_interactions.cold_start.ridge import mixing, products
from isthmus_interactions.csr import Csr, places_in_rows, row_of_entry
from isthmus_interactions.datasets import demo_goodbooks, goodbooks_sample, movielens_1m
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.recommender import Recommender

NAME = "cold_items"
TITLE = "Items without interactions"
SHARE = 0.2
K = 20
POWERS = (1, 2, 3, 5)
SEEDS = {"ml-1m": [0, 1, 2], "goodbooks": [0, 1]}
REGULARISATION = {"ml-1m": 500.0, "goodbooks": 200.0, "demo": 100.0}
WANTED = ("ndcg", "recall")
BOOTSTRAPS = 2_000

Scores = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


def movies() -> tuple[Interactions, ItemFeatures, str]:
    data, titles = movielens_1m()
    tags, years = [], []
    for id_ in data.items.ids.tolist():
        title, genres = titles[id_]
        found = re.search(r"\((\d{4})\)", title)
        tags.append(genres)
        years.append(f"{int(found[1]) // 5 * 5}" if found else "")
    table = pa.table({"item": data.items.ids, "genres": tags, "years": years})
    return data, ItemFeatures.read(table, tags=["genres", "years"]), "genres and half decades"


def books() -> tuple[Interactions, ItemFeatures, str]:
    data, _ = goodbooks_sample()
    text = unpacked(dataset_path("goodbooks-10k-sample/descriptions.csv.xz")).decode("utf-8")
    told = {int(row["item_id"]): row["description"] for row in csv.DictReader(io.StringIO(text))}
    table = pa.table({"item": data.items.ids, "description": [told.get(i, "") for i in data.items.ids.tolist()]})
    return data, ItemFeatures.read(table, text="description"), "tf-idf of descriptions"


def demo() -> tuple[Interactions, ItemFeatures, str]:
    """Few books and readers, for a smoke run."""
    data, titles = demo_goodbooks()
    data = data.select_items(np.arange(300)).select_users(np.arange(300))
    table = pa.table({"item": data.items.ids, "author": [titles[id_][1] for id_ in data.items.ids.tolist()]})
    return data, ItemFeatures.read(table, tags="author"), "authors"


DATA = {"ml-1m": movies, "goodbooks": books, "demo": demo}


class Part:
    """One draw of hidden items and of people who are asked."""

    def __init__(self, data: Interactions, features: ItemFeatures, seed: int) -> None:
        generator = np.random.default_rng(seed)
        people = generator.permutation(len(data))
        asked, training = (np.sort(part) for part in np.split(people, [round(len(people) * SHARE)]))
        items = generator.permutation(len(data.items))
        hidden, shown = (np.sort(part) for part in np.split(items, [round(len(items) * SHARE)]))
        train = data.select_users(training)
        counts = np.bincount(train.matrix.indices, minlength=len(data.items))
        shown = shown[counts[shown] > 0]
        self.train = train.select_items(shown)
        self.features, self.counts = features, counts[hidden]
        self.shown, self.hidden = features.rows(shown), features.rows(hidden)
        # Over the catalogue that with_features makes: what was shown, then the others in the order of the features.
        order = np.concatenate([shown, np.setdiff1d(np.arange(len(data.items)), shown)])
        whole = data.select_users(asked).select_items(order)
        self.people = whole.matrix
        self.width = len(shown)
        self.places = np.flatnonzero(np.isin(order, hidden))
        mask = places_in_rows(self.people, generator.random(self.people.nnz)) < np.floor(
            SHARE * np.diff(self.people.indptr)[row_of_entry(self.people)] + 1e-9
        )
        self.held, self.told = _kept(self.people, mask), _kept(self.people, ~mask)

    def history(self, matrix: Csr) -> Csr:
        """Rows without hidden items."""
        return _kept(matrix, matrix.indices < self.width)


def _kept(matrix: Csr, mask: npt.NDArray[np.bool_]) -> Csr:
    kept = matrix.copy()
    kept.data = np.where(mask, kept.data, 0).astype(np.float32)
    kept.eliminate_zeros()
    return kept


def scored(recommender: Recommender, history: Csr) -> Scores:
    bags: Any = recommender.adapter.prepare(Interactions.from_csr(history, items=recommender.adapter.items))
    whole = bags.batch(torch.arange(history.shape[0])).inputs
    with torch.no_grad():
        found: Scores = recommender.ranker.scores(recommender.ranker.prepare(whole)).numpy()
    return found


def measured(scores: Scores, relevant: Csr) -> dict[str, npt.NDArray[np.float64]]:
    """Metrics at 20 of everybody who has something held out."""
    best = torch.topk(torch.from_numpy(np.ascontiguousarray(scores)), K).indices
    judged = judge(best, from_csr(relevant))
    some = (judged.relevant > 0).numpy()
    return {f"{name}@{K}": METRICS[name](judged, K).numpy()[some] for name in WANTED}


def content(part: Part) -> tuple[int, Scores]:
    """Cosine neighbours; the power is the best for a fifth of the shown items, held against the training people."""
    generator = np.random.default_rng(0)
    order = generator.permutation(part.width)
    out, rest = np.split(order, [round(part.width * SHARE)])
    rows = generator.permutation(len(part.train))[:1000]
    near = np.maximum(products(part.shown[rest], part.shown[out]), 0)
    people = part.train.matrix[np.sort(rows)]
    validated = {
        power: float(measured(people[:, rest] @ near**power, people[:, out].tocsr())["ndcg@20"].mean())
        for power in POWERS
    }
    power = max(validated, key=lambda one: validated[one])
    history = part.people[:, : part.width]
    return power, history @ np.maximum(products(part.shown, part.hidden), 0) ** power


def popularity(part: Part) -> tuple[str, Scores]:
    """Counts of shown items, or their logarithms, carried over by ridge regression on features; alike for everybody.

    Which of both, and μ, are the best for a fifth of (at most 3,000) shown items, held against the training people.
    """
    generator = np.random.default_rng(0)
    order = generator.permutation(part.width)[:3000]
    out, rest = np.split(order, [round(len(order) * SHARE)])
    people = part.train.matrix[np.sort(generator.permutation(len(part.train))[:1000])]
    counts = np.bincount(part.train.matrix.indices, minlength=part.width).astype(np.float32)[None, :]
    forms = {"counts": counts, "log counts": np.log1p(counts)}
    found = {}
    for mu in (0.1, 1.0):
        made = mixing(part.shown[rest], part.shown[out], mu)
        for form, values in forms.items():
            scores = np.repeat(made.of(values[:, rest]), people.shape[0], 0)
            found[form, mu] = float(measured(scores, people[:, out].tocsr())["ndcg@20"].mean())
    form, mu = max(found, key=lambda one: found[one])
    predicted = mixing(part.shown, part.hidden, mu).of(forms[form])
    return f"{form}, regularisation {mu:g}", np.repeat(predicted, part.people.shape[0], 0)


def bootstrap(difference: npt.NDArray[np.float64]) -> list[float]:
    """The middle 95 % of the means of resampled people."""
    generator = np.random.default_rng(0)
    means = [generator.choice(difference, len(difference)).mean() for _ in range(BOOTSTRAPS)]
    return [round(float(value), 5) for value in np.percentile(means, (2.5, 97.5))]


def one(name: str, data: Interactions, features: ItemFeatures, seed: int) -> dict[str, Any]:
    part = Part(data, features, seed)
    started = time.perf_counter()
    fitted = Recommender.fit(
        part.train, "ease", validation=0.0, run=Run(device="cpu"), regularisation=REGULARISATION[name]
    )
    fit_seconds, started = time.perf_counter() - started, time.perf_counter()
    ours = fitted.with_features(features, seed=seed)
    feature_seconds = time.perf_counter() - started
    assert len(ours.adapter.items) == part.people.shape[1]
    relevant = part.people[:, part.places].tocsr()
    power, neighbours = content(part)
    popular, predicted = popularity(part)
    everybody = part.people.shape[0]
    rankings = {
        "isthmus": scored(ours, part.history(part.people))[:, part.places],
        "content neighbours": neighbours,
        "predicted popularity": predicted,
        "oracle popularity": np.repeat(part.counts[None, :].astype(np.float32), everybody, 0),
    }
    alone = {which: measured(scores, relevant) for which, scores in rankings.items()}
    return {
        "alone": alone,
        "together": together(ours, fitted, part),
        "power": power,
        "popular": popular,
        "choice": {k: v for k, v in ours.facts[FACTS].items() if k != "seed"},
        "seconds": {"fit": round(fit_seconds, 1), "features": round(feature_seconds, 1)},
    }


def together(ours: Recommender, fitted: Recommender, part: Part) -> dict[str, Any]:
    """One ranking of all items: with and without places for the hidden ones."""
    history = part.history(part.told)
    whole = scored(ours, history)
    known = np.full_like(whole, -np.inf)
    known[:, : part.width] = scored(fitted, history[:, : part.width].tocsr())
    found: dict[str, Any] = {}
    level = known[:, : part.width].mean(1, keepdims=True)
    forward = whole.copy()
    forward[:, part.places] = level + 2 * (whole[:, part.places] - level)
    for which, scores in (("with hidden items", whole), ("without them", known), ("boost 2", forward)):
        scores[part.told.nonzero()] = -np.inf
        best = torch.topk(torch.from_numpy(scores), K).indices.numpy()
        found[which] = {
            "metrics": measured(scores, part.held),
            "share_of_hidden": float(np.isin(best, part.places).mean()),
        }
    found["share_held_out"] = float(np.isin(part.held.indices, part.places).mean())
    return found


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over people of all seeds, standard errors, and paired differences."""

    def joined(pick: Any) -> Mapping[str, npt.NDArray[np.float64]]:
        return {m: np.concatenate([pick(run)[m] for run in runs]) for m in (f"{name}@{K}" for name in WANTED)}

    def told(values: Mapping[str, npt.NDArray[np.float64]]) -> dict[str, Any]:
        return {
            m: {"mean": round(float(v.mean()), 4), "standard_error": round(float(v.std() / np.sqrt(len(v))), 4)}
            for m, v in values.items()
        }

    alone = {which: joined(lambda run, which=which: run["alone"][which]) for which in runs[0]["alone"]}
    ranked = ("with hidden items", "without them", "boost 2")
    whole = {which: joined(lambda run, which=which: run["together"][which]["metrics"]) for which in ranked}
    ours = alone["isthmus"]
    return {
        "hidden_items_only": {which: told(values) for which, values in alone.items()},
        "ahead_95": {
            which: {m: bootstrap(ours[m] - values[m]) for m in ours}
            for which, values in alone.items()
            if which != "isthmus"
        },
        "all_items": {which: told(values) for which, values in whole.items()},
        "all_items_ahead_95": {m: bootstrap(whole[ranked[0]][m] - whole[ranked[1]][m]) for m in ours},
        "share_of_hidden_in_top_20": {
            which: round(float(np.mean([run["together"][which]["share_of_hidden"] for run in runs])), 4)
            for which in ranked
        },
        "share_of_hidden_in_held_out": round(float(np.mean([run["together"]["share_held_out"] for run in runs])), 4),
        "people": len(ours[f"ndcg@{K}"]),
        "by_seed": [
            {
                **{which: round(float(values[f"ndcg@{K}"].mean()), 4) for which, values in run["alone"].items()},
                "content_power": run["power"],
                "popularity_of": run["popular"],
                "choice": run["choice"],
                "seconds": run["seconds"],
            }
            for run in runs
        ],
    }


def run(
    smoke: Smoke = False,
    data: Annotated[list[str] | None, typer.Option(help="ml-1m or goodbooks; both by default.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="0 1 2 for ml-1m and 0 1 for goodbooks by default.")] = None,
) -> list[Line]:
    """Hide items, fit on the rest, and rank."""
    results = Results(NAME, smoke=smoke)
    for name in ["demo"] if smoke else chosen(data, SEEDS):
        interactions, features, about = DATA[name]()
        seeds = seed or SEEDS.get(name, [0])
        found = summary([one(name, interactions, features, each) for each in seeds])
        configuration = {
            "data": name,
            "model": f"ease, regularisation {REGULARISATION[name]:g}",
            "features": about,
            "people_and_items_hidden": SHARE,
            "seeds": seeds,
            "items": len(interactions.items),
        }
        results.add(configuration=configuration, **found)
    return results.made


def table(lines: Sequence[Line]) -> list[str]:
    """Both metrics of every ranking, a table for each data set."""
    rows = []
    for line in newest(lines, lambda line: line["configuration"]["data"]):
        config, whole = line["configuration"], line["all_items"]
        shown = [(f"**{name}**" if name == "isthmus" else name) for name in line["hidden_items_only"]]
        cells = [
            [
                f"{found[metric]['mean']:.3f} ± {found[metric]['standard_error']:.3f}"
                for metric in ("ndcg@20", "recall@20")
            ]
            for found in line["hidden_items_only"].values()
        ]
        pair = [whole[name]["ndcg@20"]["mean"] for name in ("with hidden items", "without them")]
        rows += [
            f"{config['data']}, {config['features']}; {config['people_and_items_hidden']:.0%} of items and people "
            f"hidden, {len(config['seeds'])} draws; the hidden items alone are ranked{mark(line)}:",
            "",
            *markdown(["by", "nDCG@20", "recall@20"], [(name, *cell) for name, cell in zip(shown, cells, strict=True)]),
            "",
            f"One ranking of all items: nDCG@20 {pair[0]:.4f} with the hidden ones, {pair[1]:.4f} without.",
            "",
        ]
    return rows
