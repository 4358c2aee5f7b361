"""How long does it take to forget one user and to learn one, exactly, with 10,000 items and a million interactions?

``Recommender.forget(users=[user])`` and ``learn`` with their events, once the inverse is there, with the spot check of
three items; the result is that of a fit from scratch, which is the rival. Aim: under 100 ms. Some calls take longer,
because the changes that are kept beside the weights are then added up: the longest is shown, too. Processor time, which
is that of the clock where one core is free.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from benchmarks.harness import Line, Results, Smoke, chosen, mark, markdown, newest
from benchmarks.recommendation.synthetic import interactions
from isthmus.training.run import Run
from isthmus_interactions import Interactions, Recommender

NAME = "exact_changes"
TITLE = "Forgetting and learning one user exactly"
MODELS = ("ease", "edlae")
EACH = 50

Models = Annotated[list[str] | None, typer.Option("--model", help="Models [all].")]


def run(
    smoke: Smoke = False, model: Models = None, items: int = 10_000, people: int = 20_000, calls: int = 20
) -> list[Line]:
    """Fit once, solve for the inverse once, then forget and learn single users."""
    results = Results(NAME, smoke=smoke)
    if smoke:
        items, people, calls = 100, 200, 3
    data = Interactions.from_csr(interactions(people, items, each=EACH))
    for name in chosen(model, MODELS):
        fit, recommender = _timed(
            lambda: Recommender.fit(data, name, validation=0.0, run=Run(device="cpu"))  # noqa: B023
        )
        first, recommender = _timed(lambda: recommender.forget(users=[0], progress=False))  # noqa: B023
        forget, learn, differences = [], [], []
        for user in range(1, calls + 1):
            own = data.select_users(data.users.rows([user]))
            # As events would be read: only with the items of this user.
            own = own.select_items(own.matrix.indices)
            taken, recommender = _timed(lambda: recommender.forget(users=[user], progress=False))  # noqa: B023
            forget.append(taken)
            taken, recommender = _timed(lambda: recommender.learn(own))  # noqa: B023
            learn.append(taken)
            differences.append(recommender.facts["updates"][-1]["largest_difference"])
        results.add(
            configuration={"model": name, "items": items, "people": people, "interactions": data.nnz, "calls": calls},
            fit_seconds=fit,
            first_seconds=first,
            forget_ms=1000 * statistics.median(forget),
            learn_ms=1000 * statistics.median(learn),
            longest_ms=1000 * max(forget + learn),
            largest_difference=max(differences),
        )
    return results.made


def _timed(work: Callable[[], Recommender]) -> tuple[float, Recommender]:
    start = time.process_time()
    made = work()
    return time.process_time() - start, made


def table(lines: Sequence[Line]) -> list[str]:
    """Times of a call, and of a fit from scratch."""
    rows = [
        (
            line["configuration"]["model"] + mark(line),
            f"{line['fit_seconds']:.1f} s",
            f"{line['first_seconds']:.1f} s",
            f"{line['forget_ms']:.0f} ms",
            f"{line['learn_ms']:.0f} ms",
            f"{line['longest_ms']:,.0f} ms",
            f"{line['largest_difference']:.0e}",
        )
        for line in newest(lines, lambda line: line["configuration"])
    ]
    times = ["fit from scratch", "first change", "forget", "learn", "longest call"]
    head = ["model (processor time)", *times, "largest difference"]
    return markdown(head, rows) if rows else []
