"""The report on a recommender: each verdict against a planted fault, and against data without one."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from planted import GROUPS, ITEMS, changed, trained
from scipy.sparse import csr_array

from isthmus.cli import main
from isthmus.core.linear.dense import LinearAutoencoder
from isthmus.errors import InputError, SettingError
from isthmus_interactions import Interactions, ItemFeatures, Recommender
from isthmus_interactions.report import checks, intervals, slices
from isthmus_interactions.report.intervals import Estimate
from isthmus_interactions.report.report import QualityReport
from isthmus_interactions.splits import hide

PEOPLE, DAY = 150, 86_400
START = 1_600_000_000
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Events:
    """Users, items and times of events."""

    users: Ints
    items: Ints
    times: Ints

    def take(self, rows: Any) -> Events:
        return Events(self.users[rows], self.items[rows], self.times[rows])

    def joined(self, other: Events) -> Events:
        parts = ((self.users, other.users), (self.items, other.items), (self.times, other.times))
        return Events(*(np.concatenate(pair) for pair in parts))

    @property
    def read(self) -> Interactions:
        return Interactions.read((self.users, self.items, np.ones(len(self.users)), self.times))


@cache
def events() -> tuple[Events, Events]:
    """Everybody has half of their group's items first, and some of the others after all of that."""
    generator, early, late = np.random.default_rng(0), [], []
    for person in range(PEOPLE):
        own = generator.permutation(ITEMS) + person // 3 % GROUPS * ITEMS
        first = 3 + person % 3
        early += [(person, item, START + DAY * place) for place, item in enumerate(own[:first])]
        late += [(person, item, START + DAY * (50 + place)) for place, item in enumerate(own[first:])]
    return Events(*np.array(early).T), Events(*np.array(late).T)


@cache
def model() -> Recommender:
    return trained("ease", events()[0].read)


def reported(test: Events | Interactions, recommender: Recommender | None = None, **options: Any) -> QualityReport:
    data = test.read if isinstance(test, Events) else test
    return (recommender or model()).report(data, **{"k": 4, "samples": 200, **options})


def level(report: QualityReport, name: str) -> str:
    return next(check.level for check in report.checks if check.name == name)


def test_a_good_model_and_a_clean_test_have_no_fault() -> None:
    found = reported(events()[1])
    assert not found.faults, str(found)
    assert [check.name for check in found.checks if check.level == "note"] == ["twins"], "by chance, among few items"
    names = {check.name for check in found.checks}
    assert names == {
        "overlap", "time", "users", "twins", "duplicates", "new items", "size", "coverage", "slices",
        "better than popularity", "better than popularity of the last week", "better than popularity of the last month",
    }  # fmt: skip
    assert found.verdict == "no fault"


def copies(test: Events) -> Events:
    return Events(test.users + 1000, test.items, test.times)


def other_items(test: Events) -> Events:
    half = np.arange(len(test.items)) % 2 == 0
    return Events(test.users, np.where(half, test.items + 1000, test.items), test.times)


def earlier(test: Events) -> Events:
    return Events(test.users, test.items, test.times - 60 * DAY)


def same_again(test: Events) -> Events:
    return test.joined(test.take(slice(0, len(test.users) // 5)))


FAULTS: dict[str, tuple[str, Callable[[], Any], dict[str, Any]]] = {
    "pairs that were trained on": ("overlap", lambda: events()[0].joined(events()[1]), {}),
    "events before the training ended": ("time", lambda: earlier(events()[1]), {}),
    "users who are not new": ("users", lambda: events()[0].joined(events()[1]), {"split": "users"}),
    "users under other ids": ("twins", lambda: copies(events()[0]), {"split": "users"}),
    "rows that were written twice": ("duplicates", lambda: same_again(events()[1]), {}),
    "items that the model does not have": ("new items", lambda: other_items(events()[1]), {}),
}


@pytest.mark.parametrize("planted", FAULTS)
def test_a_planted_fault_of_the_test_is_told(planted: str) -> None:
    name, test, options = FAULTS[planted]
    found = reported(test(), **options)
    assert level(found, name) == "fault"
    assert name in [check.name for check in found.faults]
    assert found.checks[: len(found.faults)] == found.faults


def with_weights(weights: torch.Tensor) -> Recommender:
    made = LinearAutoencoder(len(weights))
    made.weights.copy_(weights)
    return changed(model(), model=made.eval())


def same_for_all() -> Recommender:
    """Every history has the same scores, so that everybody gets the same items."""
    width = len(model().adapter.items)
    return with_weights(torch.arange(width).float().repeat(width, 1))


def worst() -> Recommender:
    """The best items come last."""
    return with_weights(-model().model.weights)


class ForMany(LinearAutoencoder):
    """The worst items come first for histories of three items."""

    def prepare(self, inputs: Any) -> Any:
        bags = super().prepare(inputs)
        return bags.reweighted(torch.where(bags.lengths()[bags.rows()] == 3, -bags.weights, bags.weights))


def good_for_many() -> Recommender:
    made = ForMany(len(model().adapter.items))
    made.weights.copy_(model().model.weights)
    return changed(model(), model=made.eval())


@pytest.mark.parametrize(
    ("planted", "names"),
    [(same_for_all, ["coverage"]), (worst, ["better than popularity", "slices"]), (good_for_many, ["slices"])],
)
def test_a_planted_fault_of_the_model_is_told(planted: Callable[[], Recommender], names: list[str]) -> None:
    found = reported(events()[1], planted())
    assert {name: level(found, name) for name in names} == dict.fromkeys(names, "fault")


def test_what_was_liked_last_week_may_be_better_than_the_model() -> None:
    """Everybody takes up one item in the last week; a model of pairs knows it hardly better than others."""
    early, late = events()
    fresh = 24 * np.ones(PEOPLE // 2, np.int64)
    news = Events(np.arange(PEOPLE // 2), fresh, START + DAY * (40 + np.arange(PEOPLE // 2) % 5))
    data = early.joined(news).read
    others = Events(np.arange(PEOPLE // 2, PEOPLE), fresh, late.times.max() * np.ones_like(fresh))
    found = reported(others, trained("ease", data, regularisation=1e6))
    assert level(found, "better than popularity of the last week") == "fault"


def test_few_users_are_told() -> None:
    found = reported(events()[1].take(slice(0, 40)))
    assert level(found, "size") == "note"


def test_without_times_no_leak_by_time_can_be_seen_and_copies_are_in_doubt() -> None:
    data, test = (Interactions.read((one.users, one.items)) for one in events())
    plain = trained("ease", data)
    found = reported(test, plain)
    assert level(found, "time") == "note"
    assert level(found, "duplicates") == "ok"
    late = same_again(events()[1])
    assert level(reported(Interactions.read((late.users, late.items)), plain), "duplicates") == "fault"


def test_scores_are_those_of_evaluate_with_intervals_and_slices() -> None:
    found = reported(events()[1])
    metrics = ["recall@4", "ndcg@4", "novelty@4", "coverage@4"]
    expected = model().evaluate(events()[1].read, metrics)
    own, popular = found.scores[0], found.scores[1]
    assert (own["ranker"], popular["ranker"]) == ("model", "popularity")
    for metric in metrics[:3]:
        assert own[metric]["mean"] == pytest.approx(expected.means[metric])
        assert own[metric]["low"] <= own[metric]["mean"] <= own[metric]["high"]
        assert popular[metric]["mean"] == pytest.approx(expected.baselines["popularity"][metric])
    assert own["coverage"] == pytest.approx(expected.means["coverage@4"])
    lengths = [(row["interactions"], row["users"]) for row in found.users if row["ranker"] == "model"]
    assert lengths == [("few", 50), ("some", 50), ("many", 50)]
    whole = np.average([row["ndcg@4"]["mean"] for row in found.users if row["ranker"] == "model"])
    assert whole == pytest.approx(own["ndcg@4"]["mean"])
    assert [row["items"] for row in found.items if row["ranker"] == "model"] == ["popular", "medium", "rare"]


def test_novelty_is_counted_in_the_training_data() -> None:
    """Items that are popular among the evaluated users and rare among all are novel."""
    data = events()[0].read
    few = events()[1].take(np.isin(events()[1].users, np.arange(0, 30, 3)))
    value = model().evaluate(few.read, ["novelty@4"]).means["novelty@4"]
    answers = model().recommend_users(np.arange(0, 30, 3).tolist(), 4)
    counts = np.bincount(data.matrix.indices, minlength=len(data.items))
    bits = [np.log2(PEOPLE) - np.log2(counts[data.items.rows(answer.ids)]) for answer in answers]
    assert value == pytest.approx(np.mean(bits))


def test_new_items_are_a_slice_of_their_own() -> None:
    kinds = np.eye(GROUPS)[np.r_[np.arange(GROUPS * ITEMS) // ITEMS, [0, 1, 2]]]
    wide = model().with_features(ItemFeatures.of([*range(GROUPS * ITEMS), 90, 91, 92], csr_array(kinds)))
    new = Events(np.arange(9), 90 + np.arange(9) % 3, START + DAY * np.full(9, 60))
    found = reported(events()[1].joined(new), wide, k=10)
    (row,) = [row for row in found.items if row["items"] == "new" and row["ranker"] == "model"]
    assert row["recall@10"]["users"] == 9


def test_intervals_contain_the_mean_as_often_as_they_say() -> None:
    generator, inside = np.random.default_rng(3), 0
    for _ in range(200):
        values = generator.exponential(1.0, 60)
        found = intervals.estimates({"one": values, "none": np.full(60, np.nan)}, 300, generator)
        inside += found["one"].low <= 1.0 <= found["one"].high
        assert (found["none"].users, str(found["none"])) == (0, "")
    assert 175 <= inside <= 200


def test_equal_lengths_are_not_split() -> None:
    assert [part.name for part in slices.by_history(np.full(9, 4))] == ["all"]
    assert [part.name for part in slices.by_history(np.r_[np.full(5, 1), np.full(5, 2)])] == ["few", "many"]
    assert slices.by_history(np.empty(0, np.int64)) == []


def test_no_verdict_without_evidence() -> None:
    """Few users and an interval around 0 say nothing; many users do."""
    score, around = Estimate(0.1, 0.0, 0.2, 30), Estimate(0.0, -0.1, 0.1, 30)
    assert checks.better_than("popularity", "ndcg@4", around, score, score).level == "note"
    assert checks.better_than("popularity", "ndcg@4", replace(around, users=500), score, score).level == "fault"
    assert checks.better_than("popularity", "ndcg@4", replace(around, low=0.01), score, score).level == "ok"


def with_chances(factor: float) -> Recommender:
    """A model whose calibrated answers promise so many times the hits there are."""
    test = events()[1].read
    known = model().calibrate(test, split="known")
    calibration = known.calibration
    assert calibration is not None
    last = replace(calibration.last, chances=np.minimum(1.0, factor * calibration.last.chances))
    return changed(known, calibration=replace(calibration, last=last))


@pytest.mark.parametrize(("factor", "expected"), [(1.0, "ok"), (0.5, "fault")])
def test_promises_that_are_not_kept_are_told(factor: float, expected: str) -> None:
    found = reported(events()[1], with_chances(factor))
    assert level(found, "calibration") == expected
    assert sum(row["items"] for row in found.calibration) == 4 * PEOPLE
    assert "calibration" in found.tables
    assert "Promised and real chances" in found.html()


class Tags(HTMLParser):
    """Counts open elements, and collects what other files a page asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.asked: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.asked += [value for name, value in attrs if name in ("src", "href") and value and value[0] != "#"]
        if tag not in ("meta", "br", "link", "img", "path", "use", "rect"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag


def parsed(text: str) -> Tags:
    tags = Tags()
    tags.feed(text)
    assert not tags.open
    return tags


@pytest.mark.slow
def test_the_page_is_whole_needs_no_other_file_and_escapes_what_it_shows(tmp_path: Path) -> None:
    found = replace(reported(events()[1]), remarks=("<script>alert(1)</script>",))
    path = found.save(tmp_path / "report.html")
    text = path.read_text(encoding="utf-8")
    tags = parsed(text)
    assert {"svg", "table", "h2", "td"} <= tags.seen
    assert "script" not in tags.seen
    assert not tags.asked
    assert all(check.name in text for check in found.checks)
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_without_matplotlib_the_page_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    text = reported(events()[1]).html()
    assert "svg" not in parsed(text).seen
    assert "isthmus[plot]" in text


def test_the_document_and_the_tables(tmp_path: Path) -> None:
    found = reported(events()[1])
    document = json.loads(found.save(tmp_path / "report.json").read_text(encoding="utf-8"))
    assert document["model"] == "ease"
    assert [check["level"] for check in document["checks"]] == [check.level for check in found.checks]
    assert found.tables["scores"].column("ranker").to_pylist()[0] == "model"
    assert set(found.tables) == {"scores", "users", "items", "checks"}
    assert "no fault" in repr(found)
    assert parsed(found._repr_html_()).seen == {"iframe"}


def test_mistakes(subtests: pytest.Subtests, tmp_path: Path) -> None:
    test = events()[1].read
    for call, error, said in [
        (lambda: model().report(test, k=0), SettingError, "k"),
        (lambda: model().report(test, samples=0), SettingError, "samples"),
        (lambda: model().report(test, split="beauty"), SettingError, "beauty"),
        (lambda: model().report(hide(test, 0.2, np.random.default_rng(0))), InputError, "a fold"),
        (lambda: model().report((["a"], ["b"])), InputError, "catalogue"),
        (lambda: reported(test).save(tmp_path / "report.pdf"), InputError, "html or .json"),
    ]:
        with subtests.test(said=said), pytest.raises(error, match=said):
            call()


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model().save("b")
    late = events()[1]
    rows = [f"{u},{i},{t}" for u, i, t in zip(late.users, late.items, late.times, strict=True)]
    Path("later.csv").write_text("\n".join(["user,item,timestamp", *rows]))
    assert main(["report", "b", "later.csv", "-k", "4", "--resamples", "50", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["path"], document["k"]) == ("b.report.html", 4)
    parsed(Path("b.report.html").read_text(encoding="utf-8"))
    assert main(["report", "b", "later.csv", "--out", "r.json", "--resamples", "50"]) == 0
    assert "no fault; the report is r.json" in capsys.readouterr().out
    for args, said in [
        (("later.csv", "--out", "r.txt"), "html or .json"),
        (("nothing.csv",), "nothing.csv"),
        (("later.csv", "--out", "nowhere/r.html"), "nowhere"),
        (("later.csv", "--split", "beauty"), "beauty"),
    ]:
        assert main(["report", "b", *args]) == 2
        assert said in capsys.readouterr().err
