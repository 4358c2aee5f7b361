"""The command line as a user meets it: documents, mistakes, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from planted import one_thread, planted

from isthmus.cli import main
from isthmus_interactions import Recommender

Run = Callable[..., tuple[int, str, str]]
SMALL = (
    "--model",
    "mult-vae",
    "--setting",
    "hidden=16",
    "--setting",
    "code=4",
    "--precision",
    "fp32",
    "--device",
    "cpu",
)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    def call(*args: object) -> tuple[int, str, str]:
        with one_thread():
            code = main([str(arg) for arg in args])
        return code, *capsys.readouterr()

    return call


def events(names: str = "") -> pa.Table:
    """The planted data as ratings: 5 for what was touched, and a 1 for everybody's first item of the next group."""
    data = planted(names=names)
    rows, columns = data.matrix.nonzero()
    users, items = data.users.take(rows.astype("int64")), data.items.take(columns.astype("int64"))
    others = [(user, data.items.take([(row % 3 + 1) % 3 * 8])[0]) for row, user in enumerate(data.users.ids.tolist())]
    return pa.table(
        {
            "userId": users + [user for user, _ in others],
            "movieId": items + [item for _, item in others],
            "rating": [4.0 + i % 2 for i in range(len(users))] + [float(1 + i % 3) for i in range(len(others))],
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bundles, int and text ids, and the file they were trained on."""
    folder = tmp_path_factory.mktemp("trained")
    pacsv.write_csv(events(), folder / "ratings.csv")
    pq.write_table(events("x"), folder / "text.parquet")
    (folder / "titles.csv").write_text("movieId,title,genres\n0,Zero [the] \N{SNOWMAN},a\n10,Ten,b\n")
    with one_thread():
        common = ("--epochs", "12", "--setting", "learning_rate=0.01", "--setting", "batch_size=16", *SMALL)
        titles = ("--titles", str(folder / "titles.csv"))
        assert (
            main(["fit", "interactions", str(folder / "ratings.csv"), "--out", str(folder / "b"), *common, *titles])
            == 0
        )
        ease = ("--model", "ease", "--setting", "regularisation=5")
        assert main(["fit", "interactions", str(folder / "text.parquet"), "--out", str(folder / "t"), *ease]) == 0
    return folder


def document(result: tuple[int, str, str]) -> Any:
    code, answer, said = result
    assert code == 0, said
    return json.loads(answer)


def mistake(result: tuple[int, str, str], *parts: str) -> None:
    code, answer, said = result
    assert code == 2, said
    assert answer == ""
    assert "Traceback" not in said
    last = said.splitlines()[-1]
    assert last.startswith("isthmus: ")
    for part in parts:
        assert part in last, last


# --- fit -------------------------------------------------------------------------------------------------------------


def test_fit_says_what_it_did(run: Run, folder: Path) -> None:
    args = ("fit", "interactions", folder / "ratings.csv", "--out", "new/place", "--epochs", 2, *SMALL)
    code, answer, said = run(*args)
    assert code == 0, said
    assert 'try: isthmus recommend new/place --history "' in answer
    assert "the top two fifths of the scale from 1 to 5" in answer
    assert "kept: values of at least 4, the top two fifths" in said
    assert "epoch 2/2, loss " in said
    assert "ndcg@100" in said
    told = document(run(*args, "--json"))
    data = planted()
    assert (told["path"], told["model"], told["epochs"]) == ("new/place", "mult-vae", 2)
    assert (told["users"], told["items"], told["interactions"]) == (90, 24, data.nnz)
    assert (told["keep"], told["validation_users"], told["metric"]) == (">=4", 9, "ndcg@100")
    assert told["settings"]["hidden"] == 16
    assert told["interrupted"] is False


def test_fit_options_reach_the_model(run: Run, folder: Path) -> None:
    table = pacsv.read_csv(folder / "ratings.csv").rename_columns(["who", "what", "stars"])
    pacsv.write_csv(table, "odd.tsv", write_options=pacsv.WriteOptions(delimiter="\t"))
    columns = ("--user", "who", "--item", "what", "--value", "stars")
    told = document(
        run("fit", "interactions", "odd.tsv", "--out", "o", *columns, "--keep", ">4", "--weights", "value", "--model",
            "mult-dae", "--validation", 0, "--seed", 7, "--epochs", 1, "--setting", "code=4", "--json")
    )  # fmt: skip
    recommender = Recommender.load("o")
    assert told["model"] == "mult-dae"
    assert (told["keep"], told["seed"], told["validation_users"]) == (">4", 7, 0)
    assert set(recommender.interactions.data.tolist()) == {5.0}
    assert "score" in told
    assert told["score"] is None


def test_checkpoints_and_resume(run: Run, folder: Path) -> None:
    base = ("fit", "interactions", folder / "ratings.csv", "--out", "o", *SMALL, "--checkpoints", "c", "--every", 1)
    assert document(run(*base, "--epochs", 2, "--json"))["epochs"] == 2
    again = document(run(*base, "--epochs", 2, "--resume", "--json"))
    assert again["epochs"] == 2
    mistake(run(*base, "--epochs", 2, "--seed", 5, "--resume"), "belongs to another training")


def test_mistakes_in_fit(subtests: pytest.Subtests, run: Run, folder: Path, tmp_path: Path) -> None:
    for args, said in [
        (["no.csv", "--out", "o"], "no file no.csv"),
        (["FILE", "--out", "o", "--user", "who"], "no column 'who'"),
        (["empty.csv", "--out", "o"], "empty"),
        (["header.csv", "--out", "o"], "header.csv"),
        (["picture.csv", "--out", "o"], "is a PNG picture"),
        (["FILE", "--out", "o", "--keep", ">=9"], "no row"),
        (["FILE", "--out", "o", "--keep", "some"], "keep='some'"),
        (["FILE", "--out", "o", "--weights", "heavy"], "weights 'heavy'"),
        (["FILE", "--out", "o", "--model", "mult-va"], "did you mean 'mult-vae'"),
        (["FILE", "--out", "o", "--model", "mult-vae", "--setting", "kode=3"], "no setting 'kode'"),
        (["FILE", "--out", "o", "--setting", "code"], "NAME=VALUE"),
        (["FILE", "--out", "o", "--model", "mult-vae", "--setting", "code=many"], "a whole number"),
        (["FILE", "--out", "o", "--model", "mult-vae", "--setting", "code=1000000000000000"], "cannot be built"),
        (["FILE", "--out", "o", "--metric", "ndgc@100"], "did you mean 'ndcg@100'?"),
        (["FILE", "--out", "o", "--setting", "code=3"], "without a model"),
        (["FILE", "--out", "o", "--time-limit", "soon"], "a time of 'soon'"),
        (["FILE", "--out", "o", "--time-limit", "-3m"], "a time of '-3m'"),
        (["FILE", "--out", "o", "--seed", "-1"], "--seed"),
        (["FILE", "--out", "o", "--epochs", "0"], "--epochs"),
        (["FILE", "--out", "o", "--validation", "0.9"], "validation=0.9"),
        (["FILE", "--out", "o", "--device", "abacus"], "device 'abacus'"),
        (["FILE", "--out", "o", "--precision", "int1"], "precision='int1'"),
        (["FILE", "--out", "o", "--resume"], "resume without"),
        (["FILE", "--out", "o", "--titles", "no.csv"], "no file no.csv"),
        (["FILE", "--out", "o", "--titles", "FILE"], "holds titles"),
        (["FILE", "--out", "taken"], "is not an isthmus bundle"),
        (["FILE", "--out", "taken/file"], "is not an isthmus bundle"),
        (["FILE"], "--out"),
        (["FILE", "--out", "o", "--fast"], "--fast"),
    ]:
        with subtests.test(args=args, said=said):
            (tmp_path / "empty.csv").write_text("")
            (tmp_path / "header.csv").write_text("userId,movieId,rating\n")
            (tmp_path / "picture.csv").write_bytes(b"\x89PNG\r\n\x1a\n\x00\xff\xfe" * 20)
            (tmp_path / "taken").mkdir(exist_ok=True)
            (tmp_path / "taken" / "file").write_text("mine")
            before = sorted(tmp_path.rglob("*"))
            mistake(
                run("fit", "interactions", *(str(folder / "ratings.csv") if arg == "FILE" else arg for arg in args)),
                said,
            )
            assert sorted(tmp_path.rglob("*")) == before


# --- recommend -------------------------------------------------------------------------------------------------------


def test_recommend_for_a_history(run: Run, folder: Path) -> None:
    told = document(run("recommend", folder / "b", "--history", "0,10, 20,999", "-k", 3, "--json"))
    (answer,) = Recommender.load(folder / "b").recommend([[0, 10, 20, 999]], 3)
    assert [entry["id"] for entry in told["items"]] == answer.ids
    assert [entry["score"] for entry in told["items"]] == answer.scores
    assert told["unknown"] == [999]
    assert told["popular"] is False
    code, shown, said = run("recommend", folder / "b", "--history", "20,30,999", "-k", 24)
    assert code == 0
    assert said == "1 unknown id left out: 999\n"
    assert "Zero [the] \N{SNOWMAN}" in shown
    assert "Ten" in shown


def test_recommend_reads_files_of_ids(run: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("\ufeff0, 10,20\r\n\n[20]\n", encoding="utf-8")
    (tmp_path / "only.txt").write_text("30\n40\n50\n")
    one = document(run("recommend", folder / "b", "--history", "@ids.txt", "--allow", "@only.txt", "--json"))
    other = document(run("recommend", folder / "b", "--history", "0,10,20", "--allow", "30,40,50", "--json"))
    assert [answer.pop("history") for answer in one["answers"]] == [1, 2]
    first = one["answers"][0]["items"]
    assert [entry["id"] for entry in first] == [entry["id"] for entry in other["items"]]
    assert {entry["id"] for entry in other["items"]} == {30, 40, 50}
    (tmp_path / "ids.txt").write_bytes(b"\xff\xfe\x00")
    mistake(run("recommend", folder / "b", "--history", "@ids.txt"), "is not text")


def test_each_history_has_its_answer(run: Run, folder: Path) -> None:
    many = document(run("recommend", folder / "b", "--history", "0,10", "--history", "[[20, 2.5], [30, 1]]", "--json"))
    answers = Recommender.load(folder / "b").recommend([[0, 10], {20: 2.5, 30: 1.0}])
    assert [[entry["id"] for entry in told["items"]] for told in many["answers"]] == [one.ids for one in answers]
    code, shown, said = run("recommend", folder / "b", "--history", "0,10", "--history", "20,999", "-k", 1)
    assert code == 0
    assert [line.split()[0] for line in shown.splitlines()] == ["history", "1", "2"]
    assert said.startswith("history 2: 1 unknown id left out: 999")


def test_a_title_where_ids_are_numbers_leads_to_the_id(run: Run, folder: Path) -> None:
    mistake(run("recommend", folder / "b", "--history", "zero [the]"), "did you mean 0 (Zero [the]")
    mistake(run("similar", folder / "b", "--item", "zero [the]"), "did you mean 0 (Zero [the]")


def test_items_are_found_by_title_and_id(run: Run, folder: Path) -> None:
    told = document(run("items", folder / "b", "ten", "--json"))
    assert told["query"] == "ten"
    assert told["items"][0] == {"id": 10, "title": "Ten", "users": told["items"][0]["users"]}
    assert "Ten" in run("items", folder / "b", "10", "-k", 1)[1]
    assert document(run("items", folder / "t", "XI0", "-k", 1, "--json"))["items"][0]["id"] == "xi0"
    popular = document(run("items", folder / "b", "-k", 30, "--json"))["items"]
    assert len(popular) == 24
    assert [one["users"] for one in popular] == sorted((one["users"] for one in popular), reverse=True)
    code, _, said = run("items", folder / "b", "qqqq")
    assert (code, said) == (0, "no item matches 'qqqq'\n")


def test_recommend_text_ids(run: Run, folder: Path) -> None:
    told = document(run("recommend", folder / "t", "--history", "xi0,xi1,7", "--json", "--include-seen"))
    assert told["unknown"] == ["7"]
    assert {"xi0", "xi1"} <= {entry["id"] for entry in told["items"]}


def test_nothing_known_is_popular(run: Run, folder: Path) -> None:
    told = document(run("recommend", folder / "b", "--history", "", "--json"))
    assert told["popular"] is True
    code, _, said = run("recommend", folder / "t", "--history", "q1,q2")
    assert code == 0
    assert said.splitlines() == [
        "2 unknown ids left out: q1, q2",
        "no item of the history is known; these are the most popular items",
    ]


def test_recommend_for_known_people(run: Run, folder: Path, tmp_path: Path) -> None:
    told = document(run("recommend", folder / "b", "--users", "1004", "-k", 2, "--json", "--allow", "0,160"))
    assert len(told["items"]) == 2
    (tmp_path / "who").write_text("1004\n1001\n")
    told = document(run("recommend", folder / "b", "--users", "@who", "--out", "r.parquet", "-k", 2, "--json"))
    assert told == {"path": "r.parquet", "users": 2, "rows": 4}
    assert pq.read_table("r.parquet")["user"].to_pylist() == [1004, 1004, 1001, 1001]
    code, answer, said = run("recommend", folder / "t", "--users", "all", "--out", "all.parquet", "-k", 2)
    assert (code, said) == (0, "")
    assert answer == "180 rows for 90 users in all.parquet\n"
    Recommender.load(folder / "t").recommend_all("own.parquet", 2)
    assert pq.read_table("all.parquet").equals(pq.read_table("own.parquet"))
    assert {path.name for path in tmp_path.iterdir()} == {"who", "r.parquet", "all.parquet", "own.parquet"}


def test_mistakes_in_recommend(subtests: pytest.Subtests, run: Run, folder: Path, tmp_path: Path) -> None:
    for args, said in [
        ([], "--history or --users"),
        (["--history", "0", "--users", "1000"], "needs either --history or --users"),
        (["--history", "zero"], "'zero' is not a number"),
        (["--history", "0", "--allow", "zero"], "'zero' is not a number"),
        (["--history", "0", "-k", "0"], "-k"),
        (["--history", "0", "--out", "x.parquet"], "--out without --users"),
        (["--users", "1000,5"], "unknown id 5"),
        (["--users", "1000,5", "--out", "x.parquet"], "unknown id 5"),
        (["--users", ","], "names no user"),
        (["--users", "all", "--out", "nowhere/x.parquet"], "no directory 'nowhere'"),
        (["--users", "all", "--out", "."], "is a directory"),
    ]:
        with subtests.test(args=args, said=said):
            mistake(run("recommend", folder / "b", *args), said)
            assert list(tmp_path.iterdir()) == []


# --- the other verbs -------------------------------------------------------------------------------------------------


def test_similar(run: Run, folder: Path) -> None:
    told = document(run("similar", folder / "b", "--item", 50, "-k", 4, "--json"))
    (answer,) = Recommender.load(folder / "b").similar_items([50], 4)
    assert [(entry["id"], entry["score"]) for entry in told["items"]] == list(
        zip(answer.ids, answer.scores, strict=True)
    )
    assert "Ten" in run("similar", folder / "b", "--item", 0, "-k", 23)[1]
    mistake(run("similar", folder / "b", "--item", 5), "unknown item 5")
    mistake(run("similar", folder / "b", "--item", "x"), "not a number")
    mistake(run("similar", folder / "b"), "--item")


def test_explain(run: Run, folder: Path) -> None:
    told = document(run("explain", folder / "t", "--history", "xi0,xi1,xi9,nobody", "--item", "xi2", "--json"))
    answer = Recommender.load(folder / "t").explain(["xi0", "xi1", "xi9", "nobody"], "xi2")
    assert [(entry["id"], entry["score"]) for entry in told["items"]] == list(
        zip(answer.ids, answer.scores, strict=True)
    )
    assert told["unknown"] == ["nobody"]
    mistake(run("explain", folder / "t", "--item", "xi2"), "--history")
    mistake(run("explain", folder / "t", "--history", "xi0", "--item", "?"), "unknown item '?'")


def test_evaluate_new_people_by_the_rule_of_the_training(run: Run, folder: Path) -> None:
    told = document(run("evaluate", folder / "b", folder / "ratings.csv", "--metric", "recall@5", "--json"))
    assert set(told) == {"users", "protocol", "seen", "remarks", "metrics", "baselines"}
    assert "were trained on, so their scores are too high" in " ".join(told["remarks"])
    assert set(told["metrics"]) == {"recall@5"}
    assert told["metrics"]["recall@5"]["mean"] > 0.5
    high = pacsv.read_csv(folder / "ratings.csv").filter(pa.compute.field("rating") >= 4)
    pacsv.write_csv(high.drop_columns("rating"), "unrated.csv")
    same = document(run("evaluate", folder / "b", "unrated.csv", "--metric", "recall@5", "--json"))
    assert same == told
    code, answer, _ = run("evaluate", folder / "b", folder / "ratings.csv", "--hide", 0.5)
    assert code == 0
    assert "standard error" in answer
    assert "recall_capped@20" in answer


def test_evaluate_known_people_later(run: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "later.csv").write_text(
        "user,item\n1000,0\n1000,10\n1000,20\n1000,30\n1000,40\n1000,50\n1000,60\n1000,70\n7,0\n"
    )
    told = document(run("evaluate", folder / "b", "later.csv", "--split", "known", "--json", "--metric", "recall@8"))
    assert told["users"] == 1
    assert told["metrics"]["recall@8"]["mean"] == 1
    (tmp_path / "strangers.csv").write_text("user,item\n7,0\n")
    mistake(run("evaluate", folder / "b", "strangers.csv", "--split", "known"), "no user of the test data")
    (tmp_path / "other.csv").write_text("user,item\n7,1\n7,2\n")
    mistake(run("evaluate", folder / "b", "other.csv"), "none of the 2 items of the test data")
    for args, said in (
        (("--hide", "1"), "--hide"),
        (("--split", "strong"), "'users' (strong generalisation)"),
        (("--split", "last"), "without times"),
        (("--metric", "recall"), "metric 'recall'"),
        (("--seed", "-1"), "--seed"),
    ):
        mistake(run("evaluate", folder / "b", folder / "ratings.csv", *args), said)
    mistake(run("evaluate", folder / "b", "no.csv"), "no file")


def test_info_models_and_adapters(run: Run, folder: Path) -> None:
    told = document(run("info", folder / "b", "--verify", "--json"))
    assert (told["plugin"], told["builder"], told["verified"]) == ("interactions", "mult_vae", True)
    assert told["facts"]["training"]["records"]
    code, answer, _ = run("info", folder / "b")
    assert code == 0
    assert "setting hidden" in answer
    assert max(map(len, answer.splitlines())) < 200, "the course of the training is for --json"
    models = document(run("models", "--json"))["models"]
    assert {"ease", "mult-dae", "mult-vae"} <= {model["name"] for model in models}
    assert "interactions" in [said["name"] for said in document(run("adapters", "--json"))["adapters"]]


def test_help_of_every_verb(subtests: pytest.Subtests, run: Run) -> None:
    for verb in ["fit", "recommend", "similar", "explain", "evaluate", "demo"]:
        with subtests.test(verb=verb):
            code, answer, said = run(verb, "--help")
            assert (code, said) == (0, "")
            assert "--json" in answer


def test_a_damaged_bundle_is_one_line(run: Run, folder: Path, tmp_path: Path) -> None:
    Recommender.load(folder / "t").save(tmp_path / "d")
    (tmp_path / "d" / "documents" / "items.json").write_text("[]")
    mistake(run("recommend", "d", "--history", "xi0"), "items.json")
    mistake(run("recommend", "nothing", "--history", "xi0"), "nothing")


# --- real processes --------------------------------------------------------------------------------------------------


def child(*args: object, **options: Any) -> subprocess.Popen[str]:
    command = [str(Path(sys.executable).with_name("isthmus")), *map(str, args)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, **{**pipes, **options})


@pytest.mark.slow
def test_answers_and_remarks_are_apart(folder: Path) -> None:
    process = child("recommend", folder / "b", "--history", "0,999", "--json")
    answer, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert json.loads(answer)["unknown"] == [999]
    assert said == "1 unknown id left out: 999\n"


def read_until(process: subprocess.Popen[str], text: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return
    raise AssertionError(f"{text!r} was never said")


@pytest.mark.slow
def test_ctrl_c_keeps_the_best_model_so_far(folder: Path, tmp_path: Path) -> None:
    process = child("fit", "interactions", folder / "ratings.csv", "--out", "o", "--epochs", 100_000, "--json", *SMALL,
                    cwd=tmp_path)  # fmt: skip
    read_until(process, "epoch 1/100000")
    process.send_signal(signal.SIGINT)
    answer, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert "the best model so far is saved" in said
    assert json.loads(answer)["interrupted"] is True
    assert len(Recommender.load(tmp_path / "o").recommend([[0]], 3)[0]) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["o"]


@pytest.mark.slow
def test_ctrl_c_before_the_first_epoch_saves_nothing(folder: Path, tmp_path: Path) -> None:
    table = pa.concat_tables([events(f"{copy}-") for copy in range(60)])
    pacsv.write_csv(table, tmp_path / "many.csv")
    # Batches of one person: an epoch takes much longer than the signal.
    process = child("fit", "interactions", "many.csv", "--out", "o", "--model", "mult-vae", "--setting", "batch_size=1",
                    "--epochs", 3, cwd=tmp_path)  # fmt: skip
    read_until(process, "kept:")
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    answer, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert answer == ""
    assert said.splitlines()[-1] == "isthmus: interrupted"
    assert [path.name for path in tmp_path.iterdir()] == ["many.csv"]
