"""Runs and qrels of TREC, metrics beside those of ranx, and files of RecBole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from isthmus.cli import main
from isthmus.errors import InputError, SettingError
from isthmus.metrics.ranking import METRICS, judge
from isthmus.rowlists import RowLists, from_rows
from isthmus_interactions import Interactions, Recommender, strong
from isthmus_interactions.exchange.trec import write_qrels, write_run
from isthmus_interactions.recommend.answers import Answer

RANX = {
    "ndcg@5": 0.030831928142291732,
    "ndcg@10": 0.057303602358331325,
    "recall@5": 0.03238095238095238,
    "recall@10": 0.08942857142857143,
    "precision@5": 0.016,
    "mrr@10": 0.0658015873015873,
    "map@10": 0.03126256613756614,
    "hit@5": 0.08,
    "hit@10": 0.28,
}
"""What ranx 0.3.21 measures (``ranx.evaluate``) on the rankings of ``drawn``, with all relevances 1."""


def test_a_run_has_a_line_for_each_item(tmp_path: Path) -> None:
    answers = [Answer([3, 5], [0.5, 1 / 3]), Answer([4], [2.0])]
    assert write_run(tmp_path / "a.run", ["u", 9], lambda some: answers, tag="mine") == 3
    expected = "u Q0 3 1 0.5 mine\nu Q0 5 2 0.333333333 mine\n9 Q0 4 1 2 mine\n"
    assert (tmp_path / "a.run").read_text() == expected


def test_qrels_of_interactions_and_of_a_split(tmp_path: Path) -> None:
    data = Interactions.read((["a", "a", "b"], [1, 2, 2], [3.0, 0.4, 1.0]), weights="value", keep="all")
    assert write_qrels(tmp_path / "a.qrels", data) == 3
    assert (tmp_path / "a.qrels").read_text() == "a 0 1 3\na 0 2 1\nb 0 2 1\n"
    events = Interactions.read((np.repeat(np.arange(40), 6), np.tile(np.arange(6), 40)))
    test = strong(events, held_out=10).test
    assert write_qrels(tmp_path / "b.qrels", test, events.items.ids.tolist()) == test.held_out.nnz
    with pytest.raises(SettingError, match="items="):
        write_qrels(tmp_path / "c.qrels", test)


@pytest.mark.parametrize("odd", ["two words", "", "tab\there"])
def test_ids_with_blanks_are_refused_and_nothing_is_left(tmp_path: Path, odd: str) -> None:
    with pytest.raises(InputError, match="blanks"):
        write_run(tmp_path / "a.run", [odd], lambda some: [Answer([1], [1.0])])
    with pytest.raises(SettingError, match="tag"):
        write_run(tmp_path / "a.run", ["u"], lambda some: [Answer([1], [1.0])], tag=odd)
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chance = np.random.default_rng(0)
    recommender = Recommender.fit((np.repeat(np.arange(30), 5), chance.integers(0, 20, 150)), "ease", progress=False)
    recommender.save(tmp_path / "a")
    assert main(["recommend", str(tmp_path / "a"), "--users", "all", "-k", "3", "--out", str(tmp_path / "a.run")]) == 0
    lines = [line.split() for line in (tmp_path / "a.run").read_text().splitlines()]
    assert [line[3] for line in lines[:3]] == ["1", "2", "3"]
    best = recommender.recommend_users([0], 3)[0]
    assert [int(line[2]) for line in lines if line[0] == "0"] == best.ids


def drawn() -> tuple[torch.Tensor, RowLists]:
    """Rankings of 50 queries and their relevant rows, the same everywhere."""
    ranked = torch.tensor(
        [[(7 * query + 3 * place * place + place) % 101 for place in range(10)] for query in range(50)]
    )
    relevant = [sorted({(5 * query + 11 * n * n) % 101 for n in range(1 + query % 7)}) for query in range(50)]
    return ranked, from_rows([np.array(rows) for rows in relevant])


def test_metrics_are_those_of_ranx() -> None:
    ranked, relevant = drawn()
    judged = judge(ranked, relevant)
    for name, expected in RANX.items():
        metric, _, k = name.partition("@")
        assert METRICS[metric](judged, int(k)).mean().item() == pytest.approx(expected, abs=1e-9), name


def test_atomic_files_of_recbole_are_read(tmp_path: Path) -> None:
    lines = ["user_id:token\titem_id:token\trating:float\ttimestamp:float\ttags:token_seq",
             "196\t242\t3\t881250949\ta b", "186\tx-1\t5\t891717742\t", "186\t242\t5\t8.5e8\tc"]  # fmt: skip
    (tmp_path / "ml.inter").write_text("\n".join(lines) + "\n")
    found = Interactions.read(tmp_path / "ml.inter", keep=3)
    assert (found.users.ids.tolist(), found.items.ids.tolist()) == ([186, 196], ["242", "x-1"])
    assert found.histories is not None
    # User 186 had item 242 first.
    assert found.histories.items.tolist()[:2] == [0, 1]
    named = Interactions.read(tmp_path / "ml.inter", keep=3, user="user_id", item="item_id:token", time="timestamp")
    assert named.nnz == 3
