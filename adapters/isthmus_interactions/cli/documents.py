"""Documents, folds and remarks for the command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from isthmus import plugins
from isthmus.errors import SettingError
from isthmus.ids import Id
from isthmus.reprs import counted
from isthmus.tasks.evaluation import Evaluation
from isthmus_interactions.files.reading import Weights
from isthmus_interactions.recommend.answers import Answer
from isthmus_interactions.recommender import Recommender


class Filters(TypedDict):
    """Filters and options of recommendations; keywords of ``Recommender.recommend``."""

    exclude_seen: bool
    exclude: list[Id] | None
    allow: list[Id] | None
    diversity: float
    calibrated: bool


def weighting(text: str) -> Weights:
    """Parse the rule for cells.

    Raises:
        SettingError: there is no such rule.
    """
    rules: dict[str, Weights] = {"binary": "binary", "value": "value", "log": "log"}
    if text not in rules:
        raise SettingError(f"weights {text!r}", expected="binary, value or log")
    return rules[text]


def answer_document(recommender: Recommender, answer: Answer) -> dict[str, Any]:
    """The document for an answer, with titles if there are any."""
    document = answer.to_json()
    for entry in document["items"]:
        if entry["id"] in recommender.titles:
            entry["title"] = recommender.titles[entry["id"]]
    return document


_FACTS = ("users", "items", "interactions", "keep", "kept", "validation_users")


def fit_report(out: Path, recommender: Recommender) -> dict[str, Any]:
    """The document for a training."""
    history = recommender.history
    return {
        "path": str(out),
        "model": plugins.command_name(recommender.builder),
        "settings": dict(recommender.settings),
        **{name: recommender.facts[name] for name in _FACTS},
        "epochs": len(history.records),
        "seed": recommender.facts["seed"],
        "best_epoch": history.best_epoch,
        "metric": history.metric,
        "score": history.best_score,
        # The history is that of the training users; of auto, that of the chosen model.
        "seconds": round(recommender.facts.get("seconds_in_all", history.seconds), 2),
        "interrupted": history.interrupted,
        "stopped_early": history.stopped_early,
        "warnings": list(recommender.facts.get("warnings", ())),
        # Additional facts of auto and with_features.
        **{
            n: recommender.facts[n]
            for n in (
                "tried",
                "fitted_on_everybody",
                "expected",
                "feature_weights",
                "features",
                "validation",
                "worth",
                "decay",
                "before",
            )
            if n in recommender.facts
        },
    }


def sizes(document: dict[str, Any]) -> str:
    """Interactions, users and items of a document in words."""
    interactions, users = counted(document["interactions"], "interaction"), counted(document["users"], "user")
    return f"{interactions} of {users} and {counted(document['items'], 'item')}"


def change(target: Path, builder: str, facts: Mapping[str, Any], what: str) -> dict[str, Any]:
    """The document of the last change of a bundle.

    Args:
        target: where it is saved.
        builder: its model, as in Python.
        facts: its facts.
        what: the name of what was added or taken away.
    """
    report, parts = dict(facts["updates"][-1]), ("users", "items", "interactions")
    return {
        "path": str(target),
        "model": plugins.command_name(builder),
        **{name: facts[name] for name in parts},
        what: {name: report.pop(name) for name in parts},
        **report,
    }


def held_out(document: dict[str, Any]) -> str:
    """The score on held-out users and its epoch; empty if no users were held out."""
    if document["score"] is None:
        return ""
    said = f"{document['metric']} {document['score']:.4f}"
    users = document.get("validation_users")
    said += f" on {counted(users, 'held-out user')}" if users else " on held-out users"
    return f"{said}, in epoch {document['best_epoch']} of {document['epochs']}" if document["epochs"] > 1 else said


def everybody(document: dict[str, Any]) -> str:
    """Whether the held-out users were trained on in the end; empty if there were none."""
    if not document.get("validation_users"):
        return ""
    if not document.get("fitted_on_everybody"):
        return "the held-out users are not trained on"
    epochs = document["best_epoch"]
    often = f" for {counted(epochs, 'epoch')}" if epochs and document["epochs"] > 1 and "tried" not in document else ""
    return f"then fitted on all {counted(document['users'], 'user')}{often}"


def expected(document: dict[str, Any]) -> str:
    """What ``auto``'s choice should score on other users; empty if that is not known."""
    found = document.get("expected")
    if not found:
        return ""
    return f"expected on other users: {document['metric']} {found['score']:.4f}, as the best of several was chosen"


def example(recommender: Recommender, out: Path) -> str:
    """An example of the next command: two well-known items, or a user if the ids of items cannot be written in a
    list."""
    shares = recommender.popularity.shares.cpu().numpy()
    items = recommender.adapter.items.take(np.argsort(-shares, kind="stable")[:2])
    users = recommender.adapter.users.take(range(1))
    for option, ids in (("--history", items), ("--users", users)):
        texts = [str(id_) for id_ in ids]
        if not any(text != text.strip() or set(text) & set(',"$`\\!') for text in texts):
            return f'isthmus recommend {out} {option} "{",".join(texts)}"'
    return f"isthmus recommend {out} --history @FILE, with one history per line"


def evaluation_report(evaluation: Evaluation) -> dict[str, Any]:
    """Means and standard errors by metric, and the protocol."""
    metrics: dict[str, dict[str, float]] = {name: {"mean": mean} for name, mean in evaluation.means.items()}
    for name, error in evaluation.standard_errors.items():
        metrics[name]["standard_error"] = error
    about = {"protocol": evaluation.protocol, "seen": evaluation.seen, "remarks": list(evaluation.remarks)}
    baselines = {name: dict(means) for name, means in evaluation.baselines.items()}
    return {asked_rows(evaluation): len(evaluation.rows), **about, "metrics": metrics, "baselines": baselines}


def asked_rows(evaluation: Evaluation) -> str:
    """What the rows of an evaluation are: users, or events if a user has several rows."""
    return "events" if "each successive event" in evaluation.protocol else "users"
