"""``isthmus index``: docs/commands/vector-index.md tells the truth, and every mistake is one line."""

from __future__ import annotations

import inspect
import json
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pages import examples, shape, undescribed

from isthmus.cli import main
from isthmus.cli.index import COMMANDS
from isthmus.index import Index

PAGE = Path(__file__).parents[2] / "docs" / "commands" / "vector-index.md"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    vectors = np.random.default_rng(0).standard_normal((300, 8)).astype(np.float32)
    np.save("vectors.npy", vectors)
    np.save("more.npy", vectors[:2] + 1)
    named = {"id": ["a", "b", "c"], "vector": np.eye(3).tolist()}
    pq.write_table(pa.table(named), "named.parquet")

    def call(line: str) -> tuple[int, str, str]:
        code = main(shlex.split(line))
        return code, *capsys.readouterr()

    return call


def test_examples_run_and_print_what_the_page_shows(run: Run) -> None:
    printed, checked = "", 0
    for kind, text in examples(PAGE.read_text(encoding="utf-8")):
        if kind == "json":
            document, shown = json.loads(printed), json.loads(text)
            for answer in document.get("answers", []):
                answer["neighbours"] = answer["neighbours"][:1]
            assert shape(document) == shape(shown), printed
            checked += 1
        else:
            name, rest = text.strip().split(" ", 1)
            assert name == "isthmus"
            code, printed, said = run(rest)
            assert code == 0, said
            assert printed
    assert checked == 3


def test_every_option_is_described() -> None:
    for verb, command in COMMANDS.items():
        assert not undescribed(PAGE.read_text(encoding="utf-8"), f"index {verb}", command)
        assert inspect.getdoc(command), verb


def test_a_life_on_the_command_line(run: Run) -> None:
    assert run("index build named.parquet --out a --metric cosine --threads 1")[0] == 0
    document = json.loads(run("index search a --like b --like c --k 1 --json --threads 1")[1])
    assert document == {
        "answers": [
            {"query": "b", "neighbours": [{"id": "b", "score": 1.0}]},
            {"query": "c", "neighbours": [{"id": "c", "score": 1.0}]},
        ]
    }
    assert [line.split()[1] for line in run("index search a named.parquet --allow c --k 1")[1].splitlines()[1:]] == [
        "c"
    ] * 3
    found = json.loads(run("index search a --like a --within 0.5 --mmap --json")[1])
    assert [own["id"] for own in found["answers"][0]["neighbours"]] == ["a"]
    table = pa.table({"id": ["a"], "vector": [[0.0, 0.0, 1.0]]})
    pq.write_table(table, "other.parquet")
    assert json.loads(run("index add a other.parquet --update --compact --json")[1])["rows"] == 3
    assert Index.load("a").search([0.0, 0.0, 1.0], 3).ids == [["c", "a", "b"]]
    assert json.loads(run("index remove a b --json")[1])["gone"] == 1
    assert "2 vectors of 3 numbers by cosine" in run("index info a")[1]
    assert "queries per second" in run("index benchmark a --queries named.parquet --k 2")[1]
    assert "index for index" in run("info a")[1]


def test_an_index_of_parts_takes_the_same_commands(run: Run) -> None:
    built = json.loads(run("index build vectors.npy --out a --parts 3 --json")[1])
    assert (built["rows"], len(built["parts"]), built["recall"]) == (300, 3, 1.0)
    assert run("index build vectors.npy --out b")[0] == 0
    for asked in ("search {} more.npy --k 4 --exclude 5 --json", "search {} --like 200 --within 3 --mmap --json"):
        assert run(f"index {asked.format('a')}")[1] == run(f"index {asked.format('b')}")[1]
    assert json.loads(run("index add a more.npy --compact --json")[1])["rows"] == 302
    assert json.loads(run("index remove a 0 299 --json")[1])["gone"] == 2
    assert "300 vectors of 8 numbers by ip, exact" in run("index info a")[1]
    assert "to be compared by ip" in run("index export a out")[1]
    table = pq.read_table("out")
    assert (table.num_rows, table.schema.metadata[b"isthmus.metric"]) == (300, b"ip")
    assert {300, 301} <= set(table["id"].to_pylist())
    assert json.loads(run("index export b b.parquet --json")[1])["rows"] == 300
    assert len(Index.build("b.parquet")) == 300


MISTAKES = [
    ("index", "index needs a verb"),
    ("index serch a", "did you mean 'search'"),
    ("index build missing.npy --out b", "'missing.npy' does not exist"),
    ("index build vectors.npy --out b --metric dot", "metric='dot'"),
    ("index build vectors.npy --out b --kind tree", "kind 'tree'"),
    ("index build vectors.npy --out b --memory 10", "9,600 bytes"),
    ("index build vectors.npy --out b --threads 0", "threads is 0"),
    ("index build vectors.npy --out full", "not an isthmus bundle"),
    ("index search a", "no queries"),
    ("index search a vectors.npy --like 3", "a file of queries and --like"),
    ("index search a named.parquet", "queries of shape"),
    ("index search a --like x", "--like 'x' is not a number"),
    ("index search a --like 301", "301 is not in the index"),
    ("index search a --like 1 --k 0", "--k '0'; expected at least 1"),
    ("index search full --like 1", "no manifest.json"),
    ("index add a named.parquet", "vectors of 3 numbers"),
    ("index remove a 1 1", "1 is given twice"),
    ("index remove a 999", "999 is not in the index"),
    ("index info nothing", "'nothing' does not exist"),
    ("index benchmark a --k 0", "--k '0'; expected at least 1"),
    ("index benchmark e", "an empty index"),
    ("index build vectors.npy --out b --parts 0", "shards"),
    ("index build vectors.npy --out b --parts 2 --header", "--parts with --encoding"),
    ("index build vectors.npy --out full --parts 2", "'full' exists"),
    ("index export a out", "a name that ends in .npy or .parquet"),
    ("index export nothing out.npy", "'nothing' does not exist"),
]


def test_mistakes_are_one_line(run: Run) -> None:
    run("index build vectors.npy --out a")
    Path("full").mkdir()
    Path("full/mine").write_text("")
    Index.build(np.empty((0, 2))).save("e")
    for line, part in MISTAKES:
        code, answer, said = run(line)
        assert (code, answer) == (2, ""), line
        assert said.startswith("isthmus: "), line
        assert said.count("\n") == 1, line
        assert part in said
    assert len(Index.load("a")) == 300


def test_help_names_every_verb(run: Run) -> None:
    code, answer, _ = run("index --help")
    assert code == 0
    assert all(f"isthmus index {verb}" in answer for verb in COMMANDS)


@pytest.mark.parametrize(
    ("verb", "said"), [("search", "isthmus index search a.index"), ("recommend", "isthmus index --help")]
)
def test_a_verb_of_a_bundle_on_an_index_names_the_right_command(run: Run, verb: str, said: str) -> None:
    assert run("index build vectors.npy --out a.index")[0] == 0
    code, _, told = run(f"{verb} a.index --k 3")
    assert code == 2
    assert "is an index" in told
    assert said in told
