"""Is the difference more than chance? A paired bootstrap over the people of each test, ours against the best rival.

    python -m benchmarks.recommendation.quality.significance --ours FOLDER --rivals FOLDER

The folders are those that ``recommendation_quality.py --values`` and ``recommendation_rivals.py --values`` wrote. Of
ours stand for each split ``auto``, and the model that was best on the validation part; against them the rival's model
that is best in the test, which favours the rival.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.harness import record
from benchmarks.recommendation.quality.settings import METRICS
from benchmarks.recommendation.quality.splits import CHOSEN_BY, SPLITS, paired_bootstrap
from benchmarks.result_lines import Line, finals, lines

NAME = "recommendation_compare"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", type=Path, required=True)
    parser.add_argument("--rivals", type=Path, required=True)
    given = parser.parse_args()
    for split in SPLITS:
        mine, theirs = finals("recommendation_quality", split), finals("recommendation_rivals", split)
        rivals = [line for line in theirs if line["outcome"] == "done"]
        if not mine or not rivals:
            continue
        for metric in METRICS[split]:
            rival = max(rivals, key=lambda line: line["metrics"][metric])
            for line in (one for one in (chosen(split, mine), named("auto", mine)) if one):
                compared(split, metric, line, rival, given.ours, given.rivals)


def compared(split: str, metric: str, ours: Line, rival: Line, folder: Path, rivals: Path) -> None:
    """One line: how far ahead, with the interval of 95 %."""
    first = np.load(folder / f"{split}.{ours['model']}.{ours['seed']}.npz")[metric]
    second = np.load(rivals / f"{split}.{rival['rival'].replace(' ', '-')}.{rival['seed']}.npz")[metric]
    if len(first) != len(second):
        raise SystemExit(f"{split}: {len(first)} and {len(second)} people")
    found = paired_bootstrap(first, second)
    line = record(
        NAME,
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
    print({name: line[name] for name in ("split", "metric", "ours", "rival", "means", "low", "high", "ahead")})


def chosen(split: str, mine: list[Line]) -> Line:
    """The model that was best on the validation part; a blend's score there is in its own line."""
    tuned = [line for line in lines("recommendation_quality") if line["stage"] == "tuning" and line["split"] == split]
    metric = CHOSEN_BY[split]

    def score(line: Line) -> float:
        if "validation" in line:
            return float(line["validation"][metric])
        same = [one for one in tuned if one["model"] == line["model"]]
        return max((float(one["metrics"][metric]) for one in same), default=-1.0)

    return max(mine, key=score)


def named(model: str, mine: list[Line]) -> Line | None:
    return next((line for line in mine if line["model"] == model), None)


if __name__ == "__main__":
    main()
