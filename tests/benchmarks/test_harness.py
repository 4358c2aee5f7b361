"""Lines of results: when they are kept, how they are found again, and what a table makes of them."""

import json
import subprocess

import pytest

from benchmarks import harness, tables
from benchmarks.catalogue import HERE, MODULES, benchmark, question
from benchmarks.harness import DAGGER, Results, Unkept, mark, markdown, newest
from isthmus.errors import SettingError


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository of one file, taken for the one that the benchmarks lie in."""
    folder = tmp_path / "checkout"
    folder.mkdir()

    def git(*arguments):
        told = ["git", "-c", "user.name=n", "-c", "user.email=e", *arguments]
        return subprocess.run(told, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()

    git("init", "--quiet")
    (folder / "code.py").write_text("1\n")
    git("add", "code.py")
    git("commit", "--quiet", "--message", "first")
    monkeypatch.setattr(harness, "_git", git)
    return folder


def written(folder):
    return [json.loads(text) for path in folder.glob("*.jsonl") for text in path.read_text().splitlines()]


def test_a_clean_tree_is_kept_with_commit_machine_and_versions(checkout, tmp_path):
    results = Results("speed", folder=tmp_path / "results")
    line = results.add(rows=3, seconds=0.5)
    assert results.unkept is None
    assert written(tmp_path / "results") == [line] == results.lines() == results.made
    assert line["commit"] == harness.commit()
    assert not line["commit"].endswith("+dirty")
    assert {"name", "commit", "date", "device", "versions", "rows", "seconds"} == set(line)
    assert {"cpu", "cores"} <= set(line["device"])
    assert {"python", "torch"} <= set(line["versions"])


def test_a_dirty_tree_is_shown_and_not_kept(checkout, tmp_path, capsys):
    (checkout / "code.py").write_text("2\n")
    results = Results("speed", folder=tmp_path)
    results.add(rows=3)
    assert results.unkept is Unkept.DIRTY
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"rows": 3}
    assert Unkept.DIRTY.value in shown.err
    assert written(tmp_path) == []
    assert results.find(rows=3)["commit"].endswith("+dirty")


def test_a_tree_that_changes_during_the_run_is_not_kept(checkout, tmp_path):
    results = Results("speed", folder=tmp_path)
    results.add(rows=1)
    (checkout / "code.py").write_text("2\n")
    results.add(rows=2)
    assert [line["rows"] for line in written(tmp_path)] == [1]
    assert results.unkept is Unkept.DIRTY


def test_a_smoke_run_keeps_nothing_and_sees_nothing_of_before(checkout, tmp_path):
    Results("speed", folder=tmp_path).add(rows=1)
    results = Results("speed", smoke=True, folder=tmp_path)
    assert results.find(rows=1) is None
    results.add(rows=2)
    assert results.unkept is Unkept.SMOKE
    assert [line["rows"] for line in written(tmp_path)] == [1]


def test_without_a_checkout_nothing_is_kept(tmp_path, monkeypatch):
    def absent(*arguments):
        raise subprocess.CalledProcessError(128, "git")

    monkeypatch.setattr(harness, "_git", absent)
    results = Results("speed", folder=tmp_path)
    results.add(rows=1)
    assert results.unkept is Unkept.NO_COMMIT
    assert written(tmp_path) == []


def test_only_clean_lines_count_as_done(checkout, tmp_path):
    lines = [{"commit": "a+dirty", "rows": 1}, {"commit": "b", "rows": 2, "sizes": [1, 2]}]
    (tmp_path / "speed.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    results = Results("speed", folder=tmp_path)
    assert results.find(rows=1) is None
    # A key is compared as JSON has it.
    assert results.find(rows=2, sizes=(1, 2)) == lines[1]


def test_the_newest_clean_line_is_shown_before_a_later_dirty_one():
    lines = [
        {"commit": "a", "rows": 1, "at": 0},
        {"commit": "b", "rows": 1, "at": 1},
        {"commit": "c+dirty", "rows": 1, "at": 2},
        {"commit": "a+dirty", "rows": 2, "at": 3},
        {"commit": "b+dirty", "rows": 2, "at": 4},
    ]
    found = newest(lines, lambda line: line["rows"])
    assert [line["at"] for line in found] == [1, 4]
    assert [mark(line) for line in found] == ["", DAGGER]
    assert mark(*found) == DAGGER
    assert mark() == mark(None) == ""


def test_a_table_in_markdown():
    assert markdown(["a", "b"], [(1, "x"), (2, "y")]) == ["| a | b |", "|---|---|", "| 1 | x |", "| 2 | y |"]


def test_a_table_marks_the_figures_of_dirty_lines():
    lines = [
        {"commit": commit, "configuration": {"model": model}, "median_ms": 1.5, "p99_ms": 2.0}
        for model, commit in (("mult-vae", "a"), ("mult-dae", "a+dirty"))
    ]
    rows = benchmark("recommend_latency").table(lines)
    assert rows[2:] == ["| mult-vae | 1.50 ms | 2.00 ms |", f"| mult-dae{DAGGER} | 1.50 ms | 2.00 ms |"]


def test_a_validation_keeps_nothing(checkout, tmp_path):
    results = Results("speed", validation=True, folder=tmp_path)
    results.add(rows=1)
    assert results.unkept is Unkept.VALIDATION
    assert written(tmp_path) == []


def test_the_catalogue_names_every_benchmark():
    offered = {
        ".".join(path.relative_to(HERE).with_suffix("").parts)
        for path in HERE.rglob("*.py")
        if path.parent.name != "rivals" and "\ndef run(" in path.read_text(encoding="utf-8")
    }
    assert offered == set(MODULES.values())
    assert {path.stem for path in (HERE / "results").iterdir()} <= set(MODULES)
    with pytest.raises(SettingError, match="speeed"):
        benchmark("speeed")


def test_a_benchmark_has_a_name_a_question_and_an_empty_table_of_nothing():
    for name in MODULES:
        module = benchmark(name)
        assert name == module.NAME
        assert question(name)
        assert module.table([]) == []


def test_the_pages_are_those_of_the_committed_lines():
    assert tables.stale() == []


def test_a_page_that_says_something_else_is_named(tmp_path):
    page = tmp_path / "results.md"
    page.write_text("recall 0.9\n")
    assert tables.stale({page: "recall 0.8\n"}) == ["results.md"]
