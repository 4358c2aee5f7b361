"""Between the command line and the recommender: documents, folds, remarks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from isthmus import plugins
from isthmus.errors import InputError, SettingError
from isthmus.tasks.evaluation import Evaluation
from isthmus.vocabulary import Id
from isthmus_interactions.answers import Answer
from isthmus_interactions.assembling import Weights
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.recommender import Recommender
from isthmus_interactions.splits import FoldIn, aligned, hide


def weighting(text: str) -> Weights:
    """The rule for cells.

    Raises:
        SettingError: no such rule.
    """
    rules: dict[str, Weights] = {"binary": "binary", "value": "value", "log": "log"}
    if text not in rules:
        raise SettingError(f"weights {text!r}", expected="binary, value or log")
    return rules[text]


def described(recommender: Recommender, answer: Answer) -> dict[str, Any]:
    """An answer's document, with titles where there are some."""
    document = answer.to_json()
    for entry in document["items"]:
        if entry["id"] in recommender.titles:
            entry["title"] = recommender.titles[entry["id"]]
    return document


def remarks(answer: Answer) -> list[str]:
    """What a person should know beside the answer."""
    said = []
    if answer.unknown:
        shown = ", ".join(map(str, answer.unknown[:5]))
        said.append(f"{len(answer.unknown)} unknown ids left out: {shown}{' ...' if len(answer.unknown) > 5 else ''}")
    if answer.popular:
        said.append("nothing of the history is known: these are the most popular items")
    return said


def fitted(out: Path, recommender: Recommender) -> dict[str, Any]:
    """What a training came to."""
    history = recommender.history
    return {
        "path": str(out),
        "model": plugins.command_name(recommender.builder),
        "settings": dict(recommender.settings),
        **{name: recommender.facts[name] for name in ("people", "items", "interactions", "kept", "validation_people")},
        "epochs": len(history.records),
        "best_epoch": history.best_epoch,
        "metric": history.metric,
        "score": history.best_score,
        "seconds": round(history.seconds, 2),
        "interrupted": history.interrupted,
        "stopped_early": history.stopped_early,
    }


def example(recommender: Recommender) -> list[Id]:
    """Two well-known items to try."""
    shares = recommender.popularity.shares.numpy()
    return recommender.adapter.items.take(np.argsort(-shares, kind="stable")[:2])


def hidden(recommender: Recommender, data: Interactions, share: float, seed: int) -> FoldIn:
    """New people: a share of each one's items is hidden."""
    if not 0 < share < 1:
        raise SettingError(f"--hide {share}", expected="a share between 0 and 1")
    return hide(data.with_items(recommender.adapter.items), share, np.random.default_rng(seed))


def later(recommender: Recommender, data: Interactions) -> FoldIn:
    """People of the training data: their training rows are the history, what is new in ``data`` is asked for.

    Raises:
        InputError: none of them is in the training data.
    """
    users = recommender.adapter.users
    known = np.flatnonzero([id_ in users for id_ in data.users.ids.tolist()])
    if not len(known):
        raise InputError("nobody in the file is in the training data", remedy="leave out --known for new people")
    part = data.select_users(known).with_items(recommender.adapter.items)
    history = recommender.told[users.rows(part.users.ids.tolist())]
    new = part.matrix - part.matrix.multiply(history.astype(bool))
    new.eliminate_zeros()
    return aligned(history, new.tocsr(), part.users)


def measured(evaluation: Evaluation, people: int) -> dict[str, Any]:
    """Means and standard errors by metric."""
    metrics: dict[str, dict[str, float]] = {name: {"mean": mean} for name, mean in evaluation.means.items()}
    for name, error in evaluation.standard_errors.items():
        metrics[name]["standard_error"] = error
    return {"people": people, "metrics": metrics}
