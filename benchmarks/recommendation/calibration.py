"""Are the chances of recommended items those with which they are found?

Under strong generalisation ``fit`` learns the chances from the users of the validation part, and the users of the test
are asked. With so few users that chance decides, both are also put together and halved at random, again and again: one
half teaches, the other half is asked. Where the users of the test were trained on, ``calibrate`` learns from one half
of them and the other half is asked: what such a split hides is not what ``fit`` hides, because the training data lack
it. The best 20 items of each history are compared with the hidden ones. Settings are those that come with the models.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
import torch
import typer

from benchmarks.harness import Line, Results, Smoke, chosen, mark, markdown, newest
from benchmarks.recommendation.quality.splits import DEMO, STRONG, final, split
from isthmus.ids import Id
from isthmus.metrics.calibration import calibration_error, error_of_true_chances, reliability_of_lists
from isthmus.vocabulary import Vocabulary
from isthmus_interactions import FoldIn, Recommender, Split, strong
from isthmus_interactions.calibration.chances import Calibration
from isthmus_interactions.calibration.outcomes import Outcomes, outcomes
from isthmus_interactions.csr import Csr, select_rows
from isthmus_interactions.datasets import movielens_1m

NAME = "calibration"
TITLE = "Chances of recommended items"
K = 20
MOST_ASKED = 4_000
WIDE = "amazon-cds"
"""Has too many items for dense closed forms."""

ML_1M = "ml-1m-strong"
"""Ratings of 4 and 5, 1,000 users for the validation part and 1,000 for the test."""

DATA = (ML_1M, "goodbooks", "ml-100k", "ml-1m-ultragcn", "ml-1m-infinite-ae", "ml-1m-diffrec", WIDE)
MODELS = ("rdlae", "mult_vae", "popularity")
EPOCHS = 30
"""Of networks."""

FEW = 500
"""Users of the test, below which random halves are drawn, and how often."""
HALVINGS = 20


@dataclass(frozen=True)
class Case:
    """A recommender with chances, and users whom it has not seen in learning them; where there are few, the outcomes of
    all held-out users by the model that was trained on none of them."""

    recommender: Recommender
    asked: FoldIn
    by: str
    few: Outcomes | None = None


def run(
    smoke: Smoke = False,
    data: Annotated[list[str] | None, typer.Option(help="Only these; may be given several times.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="Only these; may be given several times.")] = None,
    seed: int = 0,
) -> list[Line]:
    """Measure what has no line yet."""
    results = Results(NAME, smoke=smoke)
    for name in [DEMO] if smoke else chosen(data, DATA):
        for one in MODELS[:1] if smoke else chosen(model, MODELS):
            builder = "sparse_linear" if name == WIDE and one == "rdlae" else one
            configuration = {"data": name, "model": builder, "seed": seed, "k": K}
            if results.find(configuration=configuration) is None:
                started = time.perf_counter()
                measured = measure(case(name, builder, seed))
                results.add(configuration=configuration, **measured, seconds=round(time.perf_counter() - started, 1))
    return results.made


def case(name: str, model: str, seed: int) -> Case:
    """Fit a model and learn its chances."""
    settings = {"epochs": EPOCHS} if model == "mult_vae" else {}
    if name in (*STRONG, ML_1M):
        whole = _movielens(seed) if name == ML_1M else split(name)
        validation = 0.3 if name == DEMO else whole.validation
        how: dict[str, Any] = {"validation": validation, "seed": seed, "progress": False, **settings}
        fitted = Recommender.fit(whole.train, model, **how)
        few = None
        if len(whole.test) < FEW and whole.validation is not None:
            few = outcomes_of(Recommender.fit(whole.train, model, **how, refit=False), whole.validation, whole.test)
        return Case(fitted, whole.test, "fit, on the users of the validation part", few)
    train, test = final(name)
    fitted = Recommender.fit(train, model, validation=0.0, seed=seed, progress=False, **settings)
    learnt, asked = np.array_split(np.random.default_rng(seed).permutation(len(test)), 2)
    return Case(fitted.calibrate(_part(test, learnt)), _part(test, asked), "calibrate, on one half of the test users")


def _movielens(seed: int) -> Split:
    return strong(movielens_1m()[0], held_out=1000, seed=seed)


def _part(fold: FoldIn, rows: np.ndarray) -> FoldIn:
    rows = np.sort(rows[:MOST_ASKED])
    return FoldIn(select_rows(fold.history, rows), select_rows(fold.held_out, rows), [fold.users[row] for row in rows])


def measure(one: Case) -> dict[str, object]:
    """Promised and found hits of the users who are asked."""
    items, calibration = one.recommender.adapter.items, one.recommender.calibration
    assert calibration is not None
    histories, hidden = _ids_of(items, one.asked.history), [set(ids) for ids in _ids_of(items, one.asked.held_out)]
    answers = one.recommender.recommend(histories, K, calibrated=True)
    known = [place for place, answer in enumerate(answers) if not answer.too_little and len(answer) == K]
    chances = np.array([answers[place].chances for place in known], dtype=np.float64)
    hits = np.array([[id_ in hidden[place] for id_ in answers[place].ids] for place in known])
    return {
        "calibrated_by": one.by,
        "learnt_from": {"users": calibration.seen.users, "hits": calibration.seen.hits},
        "users": len(histories),
        "too_little_known": len(histories) - len(known),
        "error": calibration_error(chances, hits),
        "error_standard_error": _standard_error(chances, hits),
        "error_of_true_chances": asdict(error_of_true_chances(chances)),
        **({} if one.few is None else {"over_halves": over_halves(one.few)}),
        "error_at_10": calibration_error(chances[:, :10], hits[:, :10]),
        "claimed_error": calibration.seen.error,
        "promised": float(chances.sum(1).mean()),
        "found": float(hits.sum(1).mean()),
        "quartiles": [asdict(group) for group in reliability_of_lists(chances, hits)],
    }


def outcomes_of(recommender: Recommender, *folds: FoldIn) -> Outcomes:
    """Scores and hits of the users of several folds."""
    parts = [outcomes(recommender.model, fold, torch.device("cpu")) for fold in folds]
    names = Outcomes.__dataclass_fields__
    return Outcomes(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def over_halves(few: Outcomes) -> dict[str, float]:
    """The error when one half of the users teaches the chances of the other half: mean and standard deviation over
    random halves, and the mean error that these chances would have if they were true."""
    errors, true = [], []
    for draw in range(HALVINGS):
        taught, rows = np.array_split(np.random.default_rng(draw).permutation(len(few)), 2)
        asked = few.take(rows)
        shown = asked.scores[:, :K]
        told = Calibration.fit(few.take(taught), "hidden").chances(shown, asked.scores, asked.lengths)
        errors.append(calibration_error(told, asked.hits[:, :K]))
        true.append(error_of_true_chances(told, draws=100).mean)
    return {"error": float(np.mean(errors)), "deviation": float(np.std(errors)), "true": float(np.mean(true))}


def _standard_error(chances: np.ndarray, hits: np.ndarray, draws: int = 300) -> float:
    """The standard deviation of the error over resampled users."""
    generator, users = np.random.default_rng(0), len(chances)
    resampled = (generator.integers(users, size=users) for _ in range(draws))
    return float(np.std([calibration_error(chances[rows], hits[rows]) for rows in resampled]))


def _ids_of(items: Vocabulary, matrix: Csr) -> list[list[Id]]:
    """The ids of each row."""
    return [items.take(row) for row in np.split(matrix.indices.astype(np.int64), matrix.indptr[1:-1])]


def table(lines: Sequence[Line]) -> list[str]:
    """The error, and promised and found hits in quartiles of users."""
    known = newest(lines, lambda line: {**line["configuration"], "seed": 0})
    if not known:
        return []
    rows = []
    for line in known:
        config = line["configuration"]
        quartiles = [
            f"{one['promised']:.2f} / {one['found']:.2f} ± {one['standard_error']:.2f}" for one in line["quartiles"]
        ]
        by = "fit" if line["calibrated_by"].startswith("fit") else "half"
        asked = f"{line['users'] - line['too_little_known']:,} of {line['users']:,}"
        name = config["model"].replace("_", "-")
        true = line.get("error_of_true_chances")
        error = f"{line['error']:.3f}" + (f" ± {line['error_standard_error']:.3f}" if true else "")
        chance = f"{true['mean']:.3f}, {true['high']:.3f}" if true else ""
        halves = line.get("over_halves")
        again = f"{halves['error']:.3f} ± {halves['deviation']:.3f} ({halves['true']:.3f})" if halves else ""
        rows.append([config["data"], name + mark(line), by, asked, error, chance, again, *quartiles])
    told = (
        f"The best {K} items of each history: expected calibration error ± standard error over users (lower is "
        "better). Beside it, where it was recorded, the error that these chances would have if they were true, by "
        "simulation: its mean, and its 95 % quantile, above which an error shows that they are not. Where there are "
        "few users, both are also measured over random halves of all held-out users, one of which teaches the chances "
        "of the other: mean ± standard deviation (mean of true chances). Then the hits of a list, promised / found ± "
        "standard error, in quartiles of users by the promised number. Chances were learnt by `fit` from the users of "
        "the validation part (strong generalisation), or by `calibrate` from one half of the users of the test, of "
        "whom the other half is asked. Left out are users of whom too little is known. Popularity, which tells users "
        "apart only by the length of their histories, is there for comparison."
    )
    quartiles = ["lowest quarter", "second", "third", "highest"]
    head = ["data", "model", "learnt by", "users", "error", "of true chances", "over halves", *quartiles]
    return [told, "", *markdown(head, rows)]
