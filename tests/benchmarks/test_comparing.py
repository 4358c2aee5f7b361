"""Comparisons with rivals: networks with those of the same name, from what folders hold of each person."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.harness import Results
from benchmarks.recommendation.quality import rivals
from benchmarks.recommendation.quality.rival_process import Environments, Limits
from benchmarks.recommendation.quality.significance import on_split
from benchmarks.recommendation.quality.tables import of_differences

SPLIT, METRIC = "ml-100k", "ndcg@100"


def final(**who: Any) -> dict[str, Any]:
    metrics = {"recall_capped@20": 0.4, METRIC: 0.4}
    about = {"stage": "final", "split": SPLIT, "seed": 0, "commit": "1234567", "date": "", "setting": {}}
    return {**about, "metrics": metrics, **who}


def theirs(name: str) -> dict[str, Any]:
    return final(rival=name, outcome="done")


def save(path: Path, value: float) -> None:
    path.parent.mkdir(exist_ok=True)
    np.savez(path, allow_pickle=False, **{METRIC: np.full(30, value), "recall_capped@20": np.full(30, value)})


def test_networks_are_compared_with_those_of_their_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ours, others = tmp_path / "ours", tmp_path / "rivals"
    save(ours / f"{SPLIT}.rec_vae.0.npz", 0.5)
    for name, value in (("recbole-RecVAE", 0.4), ("recbole-MultiVAE", 0.1)):
        save(others / f"{SPLIT}.{name}.0.npz", value)
    results = Results("recommendation_compare", smoke=True)
    lines = [theirs("recbole RecVAE"), theirs("recbole MultiVAE"), theirs("cornac RecVAE")]
    with caplog.at_level(logging.INFO):
        on_split(results, SPLIT, [final(model="rec_vae")], lines, ours, others)
    named = [line for line in results.made if line["rival"] == "recbole RecVAE" and line["metric"] == METRIC]
    assert named
    assert {line["ours"] for line in results.made} == {"rec_vae"}
    assert named[-1]["difference"] == pytest.approx(0.1)
    # Values of Cornac's are not there.
    assert "rec_vae against cornac RecVAE on ml-100k is left out" in caplog.text
    assert "`rec-vae` against recbole RecVAE" in "\n".join(of_differences(results.made))


def test_a_final_without_wanted_values_is_done_again(tmp_path: Path) -> None:
    limits = Limits(1, 1, 1, None, None)
    line, results = theirs("recbole RecVAE"), Results("recommendation_rivals", smoke=True)
    wanted = rivals.Bench(results, Environments({}), limits, tmp_path)
    assert rivals._lacks_values(line, wanted)
    assert not rivals._lacks_values({**line, "stage": "tuning"}, wanted)
    assert not rivals._lacks_values({**line, "outcome": "over time"}, wanted)
    assert not rivals._lacks_values(line, rivals.Bench(results, Environments({}), limits, None))
    save(tmp_path / f"{SPLIT}.recbole-RecVAE.0.npz", 0.4)
    assert not rivals._lacks_values(line, wanted)
