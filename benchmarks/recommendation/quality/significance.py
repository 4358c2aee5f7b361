"""Are the differences significant? A paired bootstrap over the users of each test, ours against the best other library,
and networks against those of the same name.

The folders are those that ``recommendation_quality --values`` and ``recommendation_rivals --values`` wrote; what has no
values there is left out. Of ours stand for each split ``auto``, and the model that was best on the validation part;
against them the rival's model that is best in the test, which favours the rival.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.harness import Line, Results, Smoke, kept
from benchmarks.recommendation.quality.settings import METRICS, NAMESAKES
from benchmarks.recommendation.quality.splits import CHOSEN_BY, DEMO, SPLITS, paired_bootstrap
from benchmarks.recommendation.quality.tables import finals, of_differences
from isthmus.errors import SourceError

logger = logging.getLogger("recommendation_compare")

NAME = "recommendation_compare"
TITLE = "Confidence intervals of the differences"

table = of_differences


def run(
    smoke: Smoke = False,
    ours: Annotated[Path, typer.Option(help="Folder of each person's values by our models.")] = Path("quality"),
    rivals: Annotated[Path, typer.Option(help="Folder of each person's values by the rivals.")] = Path("rivals"),
) -> list[Line]:
    """Compare on every split that both sides have a line of; a smoke run draws people's values."""
    results = Results(NAME, smoke=smoke)
    if smoke:
        with tempfile.TemporaryDirectory() as folder:
            mine, theirs = drawn(Path(folder))
            on_split(results, DEMO, mine, theirs, Path(folder), Path(folder))
        return results.made
    mine, theirs = kept("recommendation_quality"), kept("recommendation_rivals")
    for split in SPLITS:
        on_split(results, split, mine, theirs, ours, rivals)
    return results.made


def on_split(
    results: Results, split: str, ours: Sequence[Line], rivals: Sequence[Line], folder: Path, other: Path
) -> None:
    """Lines of ``auto`` and of the model that was chosen, for each metric."""
    mine, theirs = finals(ours, split), [line for line in finals(rivals, split) if line["outcome"] == "done"]
    if not mine or not theirs:
        return
    picked = [
        best_validated(split, ours, mine),
        next((line for line in reversed(mine) if line["model"] == "auto"), None),
    ]
    for metric in METRICS[split]:
        rival = max(theirs, key=lambda line: line["metrics"][metric])
        for line in picked:
            if line is not None:
                compared(results, metric, line, rival, folder, other)
    for line in mine:
        for rival in theirs:
            if rival["rival"] in NAMESAKES.get(line["model"], ()):
                compared(results, CHOSEN_BY[split], line, rival, folder, other)


def compared(results: Results, metric: str, ours: Line, rival: Line, folder: Path, rivals: Path) -> None:
    """One line: how far ahead, with the interval of 95 %; none if values are missing.

    Raises:
        SourceError: the folders hold values of different people.
    """
    split = ours["split"]
    paths = folder / f"{split}.{ours['model']}.{ours['seed']}.npz", values_of(rivals, rival)
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        who = f"{ours['model']} against {rival['rival']} on {split}"
        logger.info("%s is left out: no %s", who, " and no ".join(missing))
        return
    first, second = (np.load(path)[metric] for path in paths)
    if len(first) != len(second):
        raise SourceError(f"{split}: values of {len(first)} and {len(second)} people", expected="the same people")
    found = paired_bootstrap(first, second)
    results.add(
        split=split,
        metric=metric,
        ours=ours["model"],
        rival=rival["rival"],
        means=[float(first.mean()), float(second.mean())],
        difference=found.mean,
        low=found.low,
        high=found.high,
        ahead=found.ahead,
        people=len(first),
        draws=10_000,
    )


def values_of(folder: Path, final: Line) -> Path:
    """The file of each person's values of a rival's final."""
    return folder / f"{final['split']}.{final['rival'].replace(' ', '-')}.{final['seed']}.npz"


def best_validated(split: str, ours: Sequence[Line], mine: Sequence[Line]) -> Line:
    """The model that was best on the validation part; a blend's score there is in its own line."""
    tuned = [line for line in ours if line["stage"] == "tuning" and line["split"] == split]
    metric = CHOSEN_BY[split]

    def score(line: Line) -> float:
        if "validation" in line:
            return float(line["validation"][metric])
        same = [one for one in tuned if one["model"] == line["model"]]
        return max((float(one["metrics"][metric]) for one in same), default=-1.0)

    return max(mine, key=score)


def drawn(folder: Path) -> tuple[list[Line], list[Line]]:
    """Lines and values of a model and a rival on the split of a smoke run."""
    random = np.random.default_rng(0)
    about = {
        "stage": "final",
        "split": DEMO,
        "seed": 0,
        "commit": "none",
        "date": "",
        "setting": {},
        "metrics": dict.fromkeys(METRICS[DEMO], 0.5),
    }
    mine, theirs = {**about, "model": "auto"}, {**about, "rival": "implicit ALS", "outcome": "done"}
    for name in ("auto", "implicit-ALS"):
        np.savez(folder / f"{DEMO}.{name}.0.npz", **{metric: random.random(30) for metric in METRICS[DEMO]})
    return [mine], [theirs]
