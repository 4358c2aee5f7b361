"""Stores: the same interactions as in memory, in arrays on disk that are checked before anything follows them."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.cli import main
from isthmus.disk.mapped import is_constant, is_mapped
from isthmus.errors import BundleError, ColumnError, InputError, SettingError, SourceError, ValueRangeError
from isthmus.models import linear
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.recommender import Recommender
from isthmus_interactions.store import keeping, layout, reading, sorting
from isthmus_interactions.store.store import InteractionStore

IDS = st.one_of(
    st.lists(st.one_of(st.none(), st.integers(-9, 9)), min_size=1, max_size=60),
    st.lists(st.sampled_from(["a", "b", " b", "NULL", "", "7", "07", None, "ß"]), min_size=1, max_size=60),
)
READINGS = st.sampled_from(
    [{}, {"weights": "value"}, {"weights": "log", "keep": "all"}, {"value": "", "ordered": True}, {"keep": ">2"}]
)


def events(count=300, users=40):
    draw = np.random.default_rng(0)
    columns = {"user": draw.integers(0, users, count), "item": [f"i{one}" for one in draw.integers(0, 25, count)]}
    columns |= {"rating": draw.integers(1, 6, count), "time": draw.integers(10**9, 10**9 + 99, count)}
    return pa.table(columns)


def outcome(read):
    try:
        return read()
    except InputError as error:
        return type(error)


def assert_same(one: Interactions, other: Interactions):
    assert one.users == other.users
    assert one.items == other.items
    assert asdict(one.report) | {"columns": {}} == asdict(other.report) | {"columns": {}}
    assert (one.matrix.indptr == other.matrix.indptr).all()
    assert (one.matrix.indices == other.matrix.indices).all()
    np.testing.assert_allclose(one.matrix.data, other.matrix.data, rtol=1e-6)
    assert (one.histories is None) == (other.histories is None)
    if one.histories is not None and other.histories is not None:
        assert (one.histories.offsets == other.histories.offsets).all()
        assert (one.histories.items == other.histories.items).all()
        assert one.histories.unit == other.histories.unit
        assert (one.histories.times is None) == (other.histories.times is None)
        assert other.histories.times is None or (one.histories.times == other.histories.times).all()


@pytest.fixture
def small_pieces(monkeypatch):
    """Many buckets, and ids that are numbered often."""
    monkeypatch.setattr(sorting, "BUCKET", 16)
    monkeypatch.setattr(keeping, "WAITING", 8)
    monkeypatch.setattr(reading, "OFTEN", 1)
    monkeypatch.setattr(reading, "PER_ID", 0)
    monkeypatch.setattr("os.fsync", lambda handle: None)


@pytest.mark.usefixtures("small_pieces")
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(users=IDS, items=IDS, told=READINGS, data=st.data())
def test_a_store_holds_what_is_read_into_memory(tmp_path, users, items, told, data):
    count = min(len(users), len(items))
    values = data.draw(st.lists(st.sampled_from([0, 1, 2.5, 5]), min_size=count, max_size=count))
    times = data.draw(st.lists(st.integers(0, 5), min_size=count, max_size=count))
    table = pa.table({"user": users[:count], "item": items[:count], "rating": values, "time": times})
    shutil.rmtree(tmp_path / "store", ignore_errors=True)
    expected = outcome(lambda: Interactions.read(table, **told))
    made = outcome(lambda: InteractionStore.create(table, tmp_path / "store", **told))
    if isinstance(expected, type):
        assert made is expected
    else:
        assert_same(Interactions.read(made), expected)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_several_files_are_one_table(tmp_path, kind):
    table = events()
    (tmp_path / "events").mkdir()
    for number, start in enumerate((0, 50, 210)):
        part, path = table.slice(start, (50, 160, 90)[number]), tmp_path / "events" / f"{number}.{kind}"
        if kind == "csv":
            pyarrow.csv.write_csv(part, path)
        else:
            pq.write_table(part, path)
    expected = Interactions.read(table)
    for source in (tmp_path / "events", str(tmp_path / "events" / f"*.{kind}")):
        shutil.rmtree(tmp_path / "store", ignore_errors=True)
        InteractionStore.create(source, tmp_path / "store")
        found = Interactions.read(tmp_path / "store")
        assert_same(found, expected)
        assert is_mapped(found.matrix.indices)
        assert is_constant(found.matrix.data)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize(("per_id", "kept"), [(0, ["2 of 3 files were read before an interruption"]), (10**6, [])])
def test_an_interrupted_store_goes_on_after_the_last_whole_file(tmp_path, monkeypatch, per_id, kept):
    # All ids are written each time, so that many of them are written down less often.
    monkeypatch.setattr(reading, "PER_ID", per_id)
    table, lines = events(), []
    paths = [tmp_path / f"{number}.parquet" for number in range(3)]
    for number, path in enumerate(paths):
        pq.write_table(table.slice(100 * number, 100), path)
    opened = reading.StoreReader._read_part

    def stopped(self, place, part):
        if place == 2:
            raise KeyboardInterrupt
        opened(self, place, part)

    with monkeypatch.context() as patch:
        patch.setattr(reading.StoreReader, "_read_part", stopped)
        with pytest.raises(KeyboardInterrupt):
            InteractionStore.create(paths, tmp_path / "store")
    assert not (tmp_path / "store").exists()
    made = InteractionStore.create(paths, tmp_path / "store", told=lines.append)
    assert [line for line in lines if "interruption" in line] == kept
    assert_same(Interactions.read(made), Interactions.read(table))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.parquet", "1.parquet", "2.parquet", "store"]


def test_parts_of_a_store_are_taken_out_into_files(tmp_path):
    table = events()
    stored = Interactions.read(InteractionStore.create(table, tmp_path / "store", weights="value"))
    memory = Interactions.read(table, weights="value")
    rows = np.array([3, 0, 7])
    taken = stored.select_users(rows)
    assert_same(taken, memory.select_users(rows))
    assert is_mapped(taken.matrix.indices)
    assert is_mapped(taken.histories.times)
    assert sorted(path.suffix for path in (tmp_path / "store").iterdir()) == sorted(
        [".arrow"] * 2 + [".json"] + [".npy"] * 6
    )


def damage(store: Path, name: str, change):
    """Change an array, and let the manifest agree."""
    array = np.load(store / f"{name}.npy")
    np.save(store / f"{name}.npy", change(array))
    said = json.loads((store / "store.json").read_text())
    said["files"][f"{name}.npy"]["bytes"] = (store / f"{name}.npy").stat().st_size
    said.pop("digest")
    (store / "store.json").write_text(json.dumps({**said, "digest": layout._digest(said)}))


def put(place, value):
    def change(array):
        array[place] = value
        return array

    return change


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("pairs.items", put(5, 10**6)),
        ("pairs.items", put(5, -1)),
        ("pairs.items", lambda array: array[::-1]),
        ("pairs.items", lambda array: array[:-1]),
        ("pairs.items", lambda array: array.astype(np.int64)),
        ("pairs.ends", put(2, 10**9)),
        ("pairs.ends", put(0, 1)),
        ("events.items", put(-1, 25)),
        ("events.times", lambda array: array[::-1]),
        ("pairs.values", put(0, np.nan)),
        ("pairs.values", put(0, 0)),
    ],
)
def test_a_damaged_store_is_refused(tmp_path, name, change):
    InteractionStore.create(events(), tmp_path / "store", weights="value")
    damage(tmp_path / "store", name, change)
    with pytest.raises(BundleError):
        InteractionStore.open(tmp_path / "store")


def test_an_altered_file_is_found_out_on_request(tmp_path):
    made = InteractionStore.create(events(), tmp_path / "store", weights="value")
    values = np.load(made.path / "pairs.values.npy")
    np.save(made.path / "pairs.values.npy", values[::-1])
    assert len(InteractionStore.open(made.path)) == len(made)
    with pytest.raises(BundleError, match="altered"):
        InteractionStore.open(made.path, verify=True)


def test_what_cannot_be_a_store_is_refused(tmp_path):
    table = events(20)
    pq.write_table(table, tmp_path / "a.parquet")
    pq.write_table(table.set_column(0, "user", pa.array(["x"] * 20)), tmp_path / "b.parquet")
    pq.write_table(table.rename_columns(["who", "item", "rating", "time"]), tmp_path / "c.parquet")
    pq.write_table(table.set_column(2, "rating", pa.array([None] * 20, pa.int64())), tmp_path / "d.parquet")
    (tmp_path / "empty").mkdir()
    a, out = tmp_path / "a.parquet", tmp_path / "store"
    refused = [
        (ColumnError, [a, tmp_path / "b.parquet"], "one type"),
        (ColumnError, [a, tmp_path / "c.parquet"], "who"),
        (ValueRangeError, [a, tmp_path / "d.parquet"], r"d\.parquet: row 1"),
        (SourceError, tmp_path / "empty", "no file of events"),
        (SourceError, str(tmp_path / "*.none"), "matches"),
        (SourceError, tmp_path / "missing.parquet", "no file"),
        (SourceError, [a, a], "twice"),
    ]
    for error, source, said in refused:
        with pytest.raises(error, match=said):
            InteractionStore.create(source, out)
        assert not out.exists()
    with pytest.raises(InputError, match="exists"):
        InteractionStore.create(a, tmp_path / "a.parquet")
    with pytest.raises(SettingError, match="nothing to read"):
        InteractionStore.create(None, out)
    with pytest.raises(BundleError, match="not a store"):
        InteractionStore.open(tmp_path / "empty")
    InteractionStore.create(a, out)
    with pytest.raises(SettingError, match="weights"):
        Interactions.read(out, weights="value")
    with pytest.raises(SettingError, match="user="):
        Interactions.read(out, user="user")


def test_a_query_of_duckdb(tmp_path):
    pytest.importorskip("duckdb")
    table = events()
    pq.write_table(table, tmp_path / "a.parquet")
    sql = f"CREATE TABLE e AS SELECT * FROM '{tmp_path}/*.parquet'; SELECT * FROM e WHERE \"user\" < 20"
    made = InteractionStore.create(None, tmp_path / "store", query=sql)
    assert_same(Interactions.read(made), Interactions.read(table.filter(pa.compute.less(table["user"], 20))))
    with pytest.raises(SourceError, match="DuckDB refuses"):
        InteractionStore.create(None, tmp_path / "other", query="SELECT nothing")
    with pytest.raises(ColumnError):
        InteractionStore.create(None, tmp_path / "other", query="CREATE TABLE t (a INT)")


MODELS = {
    "popularity": {},
    "item_knn": {},
    "rdlae": {"length_power": 0.5},
    "sparse_linear": {"neighbours": 8},
    "low_pass": {"vectors": 4},
    "mult_dae": {"epochs": 1},
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name == "mult_dae" else []) for name in MODELS]
)
def test_models_learn_the_same_from_a_store(tmp_path, monkeypatch, name):
    monkeypatch.setattr(linear, "PART", 64)
    table = events(1500, users=90)
    store = InteractionStore.create(table, tmp_path / "store", weights="value")
    told = {"progress": False, "seed": 1, **MODELS[name]}
    stored = Recommender.fit(store, name, **told)
    memory = Recommender.fit(table, name, weights="value", **told)
    histories = [["i1", "i2"], ["i7"]]
    for one, other in zip(stored.recommend(histories, 5), memory.recommend(histories, 5), strict=True):
        assert one.ids == other.ids
        np.testing.assert_allclose(one.scores, other.scores, rtol=1e-4)
    stored.save(tmp_path / "bundle")
    assert Recommender.load(tmp_path / "bundle").interactions.nnz == store.manifest.pairs


@pytest.mark.slow
def test_auto_evaluation_and_commands_read_a_store(tmp_path, capsys):
    pq.write_table(events(4000, users=120), tmp_path / "a.parquet")
    store, bundle = str(tmp_path / "store"), str(tmp_path / "bundle")
    assert main(["store", str(tmp_path / "a.parquet"), "--out", store, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["users"] == 120
    assert main(["fit", "interactions", store, "--out", bundle, "--setting", "epochs=1", "--model", "mult-dae"]) == 0
    assert main(["evaluate", bundle, store, "--split", "users"]) == 0
    assert main(["recommend", bundle, "--history", "i1", "-k", "3"]) == 0
    capsys.readouterr()
    assert main(["store", str(tmp_path / "a.parquet"), "--out", store]) == 2
    assert "exists" in capsys.readouterr().err
    assert main(["fit", "interactions", store, "--out", bundle, "--weights", "value"]) == 2
    found = Recommender.fit(store, time_limit=10.0, progress=False)
    assert found.facts["tried"]
