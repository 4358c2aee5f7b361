"""How well do the models of ``isthmus demo`` rank? These are the scores that it prints."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness import Line, Results, Smoke, mark, markdown, newest
from isthmus_interactions.cli.demo import BLEND, NEIGHBOURS, PARTS

NAME = "demo_quality"
TITLE = "The demo: 2,000 books"
COMMAND = "import sys; from isthmus.cli import main; sys.exit(main())"
ONE_ALONE = "from isthmus_interactions.cli import demo; demo.PARTS = {'rdlae': demo.PARTS['rdlae']}; "
METRICS = ("recall_capped@20", "ndcg@100")


def run(smoke: Smoke = False) -> list[Line]:
    """Run the demo in a process of its own; a smoke run trains one of its models."""
    results = Results(NAME, smoke=smoke)
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "books.bundle")
        command = (ONE_ALONE if smoke else "") + COMMAND
        arguments = [sys.executable, "-c", command, "demo", "--out", out, "--json"]
        document = json.loads(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout)
    config = {"data": "demo-goodbooks", "people": 2620, "items": 2000, "test_people": 250, "seed": 0}
    results.add(
        configuration={
            **config,
            "split": "strong generalisation, 80/20",
            "settings": {**PARTS, "item neighbours": NEIGHBOURS},
        },
        scores=document["scores"],
        shares=document["shares"],
        ahead=document["ahead_of_item_neighbours"],
        seconds=document["seconds"],
    )
    return results.made


def table(lines: Sequence[Line]) -> list[str]:
    """Both metrics of every model."""
    known = newest(lines, lambda line: 0)
    if not known:
        return []
    (line,) = known
    config = line["configuration"]
    rows = [
        [score["model"] + mark(line)]
        + [f"{score[metric]['mean']:.3f} ± {score[metric]['standard_error']:.3f}" for metric in METRICS]
        for score in line["scores"]
    ]
    told = (
        f"Strong generalisation: {config['test_people']} readers held out of {config['people']:,}, 80/20 fold-in, "
        f"{config['items']:,} books, ratings of 4 and 5, seed {config['seed']}; mean ± standard error. "
        "250 other readers choose the weights of the blend. The settings of its parts were chosen on three splits of "
        "the readers who are not asked about, and so was the number of item neighbours, 20 among 20, 50 and 100. "
        "Deep networks are not among them: with so few readers Mult-DAE and Mult-VAE are no better than item "
        "neighbours."
    )
    if line.get("ahead") is not None:  # lines of earlier versions do not have it
        ahead, error = line["ahead"]["mean"], line["ahead"]["standard_error"]
        told += f" Reader by reader, the {BLEND} is ahead of item neighbours by {ahead:.3f} ± {error:.3f} nDCG@100."
    return [told, "", *markdown(["model", "recall@20 (divided by min(20, n))", "nDCG@100"], rows)]
