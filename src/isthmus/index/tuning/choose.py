"""Which searcher an index gets: exact where that is fast enough, else the fastest that finds enough.

Every kind is built and measured on the vectors themselves. Its settings are chosen on one half of the held-out queries
as the cheapest that reach the target, and judged on the other half.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import cast

from torch import Tensor

from isthmus.index.contest import Contest
from isthmus.index.exact.searcher import ExactSearcher
from isthmus.index.faiss import FaissSearcher, Settings
from isthmus.index.faiss import Kind as FaissKind
from isthmus.index.tuning.builds import Workshop
from isthmus.index.tuning.grids import tried
from isthmus.index.tuning.measure import held_out
from isthmus.index.tuning.trials import ALL, Choice, Trial, Wish


def choose(exact: ExactSearcher, wish: Wish, queries: Tensor | None = None, workshop: Workshop | None = None) -> Choice:
    """The searcher for some vectors.

    ``workshop`` keeps what was built over them for other wishes of the same seed; all measurements are made anew.

    Raises:
        BudgetError: nothing that keeps the budget reaches the target, exact search included.
        InputError: fewer than two queries are given.
    """
    wish.budget.check_bytes(len(exact), exact.width)
    if wish.kind == "exact":
        return Choice("exact", None, 1.0, "exact search was asked for")
    if wish.kind == "auto" and wish.budget.allows_exact(len(exact), exact.width):
        return Choice("exact", None, 1.0, "comparing with every vector is fast enough")
    questions = held_out(exact, queries, wish.k, wish.seed)
    contest = Contest(workshop or Workshop(exact, wish.seed), wish, questions)
    for kind in tried(exact.metric) if wish.kind in ALL else (wish.kind,):
        contest.enter(cast(FaissKind, kind))
    return contest.decided()


def measured(exact: ExactSearcher, wish: Wish, old: FaissSearcher, queries: Tensor | None) -> Choice | None:
    """A kind with its settings over other vectors, if it keeps the budget and reaches the target there."""
    wish.budget.check_bytes(len(exact), exact.width)
    _, judging = held_out(exact, queries, wish.k, wish.seed)
    given = asdict(old.settings)
    # As many lists as the new number of rows calls for, and the same share of them visited.
    lists = Settings.checked(len(exact)).lists
    given |= {"lists": lists, "probes": max(1, round(old.settings.probes * lists / old.settings.lists))}
    searcher = FaissSearcher.over(exact, old.kind, Settings.checked(len(exact), **given))
    recall, alone = judging.recall(searcher), judging.alone(searcher)
    size, granted = 4 * len(exact) * exact.width + searcher.nbytes, wish.budget
    over = (granted.seconds or alone) < alone or (granted.bytes or size) < size
    if over or recall < wish.target_recall:
        return None
    rung = {name: getattr(searcher.settings, name) for name in ("probes", "breadth", "widen")}
    trial = Trial(old.kind, rung, recall, judging.speed(searcher), alone, size, None, "kept when compacted")
    return Choice(old.kind, searcher, recall, f"still reaches {wish.target_recall:g}", (trial,))
