"""Does a training that is killed at any moment, and resumed, end where one that was left alone ends?

Each attempt trains with a checkpoint after every epoch and is killed by SIGKILL after a random part of the time that
the training takes; then it is resumed to its end. Compared are all weights bit for bit, and the history but for its
times. Nothing half-written may stay in the directory of checkpoints.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

import isthmus
from benchmarks.harness import Line, Results, Smoke, chosen, mark, markdown, newest
from benchmarks.processes import alone
from isthmus.bundle import state_of
from isthmus.training.run import Run

NAME = "training_kills"
TITLE = "Trainings that are killed and resumed"

USERS, ITEMS, GROUPS = 90, 24, 3
NOUNS, VERBS = ("cat", "dog", "fox", "cow", "hen", "owl"), ("runs", "sits", "eats", "sings", "sleeps")


def events() -> tuple[Any, Any]:
    """Users and items: each user takes half of the items of one group."""
    generator = np.random.default_rng(0)
    each = ITEMS // GROUPS
    items = [generator.permutation(each)[: each // 2] + user % GROUPS * each for user in range(USERS)]
    return np.repeat(np.arange(USERS), each // 2), np.concatenate(items)


def numbers(rows: int, width: int) -> Any:
    """Normal numbers, fp32."""
    return np.random.default_rng(0).normal(size=(rows, width)).astype(np.float32)


def _recommender(model: str, run: Run, **settings: Any) -> Any:
    return isthmus.Recommender.fit(events(), model, run=run, batch_size=32, validation=0.2, **settings)


def _texts() -> list[str]:
    return [f"{one} {noun} {verb}" for one in ("the", "a", "no", "my") for noun in NOUNS for verb in VERBS]


def _pictures() -> Any:
    return numbers(100, 64).reshape(-1, 8, 8).clip(0, 1)


TRAININGS: Mapping[str, Callable[[Run], Any]] = {
    "mult-vae": lambda run: _recommender("mult-vae", run, code=4, hidden=8, epochs=8),
    "rec-vae": lambda run: _recommender("rec-vae", run, code=4, hidden=8, epochs=4),
    "elsa": lambda run: _recommender("elsa", run, code=8, epochs=8),
    "text": lambda run: isthmus.TextAutoencoder.fit(_texts(), run=run, code=4, hidden=8, epochs=4),
    "images": lambda run: isthmus.ImageAutoencoder.fit(_pictures(), run=run, code=4, epochs=3),
    "vectors": lambda run: isthmus.VectorAutoencoder.fit(numbers(300, 6), run=run, code=3, epochs=8),
}
"""Small ones, by name."""


def outcome(model: str, place: Path, resume: bool) -> str:
    """What a training ends with: a digest of the weights and the history."""
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = TRAININGS[model](Run(device="cpu", seed=1, checkpoints=place, every=1, resume=resume))
    records = [{key: one for key, one in record.items() if key != "seconds"} for record in made.history.records]
    digest = hashlib.sha256(json.dumps([records, made.history.best_epoch]).encode())
    for name, tensor in state_of(made.fitted.model).items():
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


def forked(work: Callable[[], str], killed_after: float | None = None) -> tuple[int, str]:
    """Do it in a child: how it ended, as ``os.waitpid`` says, and its answer."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(work().encode())
            os._exit(0)
        except BaseException as error:
            traceback.print_exception(error)
        finally:
            os._exit(1)
    os.close(writing)
    if killed_after is not None:
        time.sleep(killed_after)
        os.kill(child, signal.SIGKILL)
    with os.fdopen(reading) as pipe:
        answer = pipe.read()
    return os.waitpid(child, 0)[1], answer


def import_what(work: Callable[[], object]) -> None:
    """Import here, once, what every child would import for some work. It is not done here, because a process that has
    trained cannot be forked into others that train."""

    def names() -> str:
        before = set(sys.modules)
        work()
        return json.dumps(sorted(set(sys.modules) - before))

    status, answer = forked(names)
    for name in [] if status else json.loads(answer):
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def campaign(model: str, kills: int, seed: int) -> dict[str, Any]:
    """Kill and resume one training again and again, each time from the beginning.

    Args:
        model: one of ``TRAININGS``.
        kills: how many attempts are to be killed before their end; after three times as many attempts it is over.
        seed: of the moments.

    Returns:
        The seconds that the training takes, the attempts, how many of them were killed before their end, and what went
        wrong.
    """
    moments, wrong, killed, number = np.random.default_rng(seed), [], 0, 0
    with tempfile.TemporaryDirectory() as folder:
        import_what(lambda: outcome(model, Path(folder, "first"), False))
        started = time.perf_counter()
        status, expected = forked(lambda: outcome(model, Path(folder, "whole"), False))
        seconds = time.perf_counter() - started
        if status:
            raise RuntimeError(f"{model} cannot be trained")
        while killed < kills and number < 3 * kills:
            number += 1
            place = Path(folder, str(number))
            status, _ = forked(lambda at=place: outcome(model, at, False), seconds * moments.random())  # type: ignore[misc]
            killed += os.WIFSIGNALED(status)
            status, found = forked(lambda at=place: outcome(model, at, True))  # type: ignore[misc]
            if status or found != expected:
                wrong.append(f"attempt {number}: {'cannot be resumed' if status else 'another end'}")
            left = [path.name for path in place.iterdir() if path.name.startswith(".")]
            wrong += [f"attempt {number}: left {left}"] if left else []
    return {"seconds": seconds, "attempts": number, "killed": killed, "wrong": wrong}


def run(
    smoke: Smoke = False,
    model: Annotated[list[str] | None, typer.Option(help="One of the trainings; may be repeated [all].")] = None,
    kills: Annotated[int, typer.Option(min=1, help="Of each training.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Of the moments.")] = 0,
) -> list[Line]:
    """Each training in a process of its own, which trains only in children."""
    results = Results(NAME, smoke=smoke)
    for name in chosen(model, TRAININGS)[: 1 if smoke else None]:
        found = alone(campaign, name, 2 if smoke else kills, seed)
        results.add(model=name, kills=2 if smoke else kills, seed=seed, **found)
    return results.made


def table(lines: Sequence[Line]) -> list[str]:
    """How many attempts, and how many of them ended in another way."""
    rows = [
        (line["model"] + mark(line), line.get("attempts", line["kills"]), line["killed"], len(line["wrong"]))
        for line in newest(lines, lambda line: line["model"])
    ]
    return markdown(("training", "attempts", "killed before the end", "ended differently"), rows) if rows else []
