"""Parts of an index in other processes answer as parts in this one."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.errors import BundleError, DuplicateIdError, InputError, PartError, UnknownIdError, ValueRangeError
from isthmus.index import Index, ShardedIndex
from isthmus.index.sharded.hosts import Answer, Ask, PartHost, RemotePart, content
from isthmus.index.sharded.parts import Part
from isthmus.index.sharded.processes import open_in_processes
from isthmus.integrations.ray_index import _share

RANDOM = np.random.default_rng(0)
VECTORS = RANDOM.standard_normal((60, 6)).astype(np.float32)
QUERIES = RANDOM.standard_normal((4, 6)).astype(np.float32)


def same(found: Any, expected: Any) -> None:
    assert found.ids == expected.ids
    assert found.kind == expected.kind
    for ours, theirs in zip(found.scores, expected.scores, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def asking(host: PartHost) -> Ask:
    """Hands plain values over, and nothing else."""

    def plain(value: Any) -> bool:
        if isinstance(value, Mapping):
            return all(map(plain, value.values()))
        if isinstance(value, list | tuple):
            return all(map(plain, value))
        return value is None or isinstance(value, int | float | str | np.ndarray)

    def ask(verb: str, given: Mapping[str, Any]) -> Answer:
        assert plain(given), given
        answer = host.answer(verb, given)
        assert plain(answer), answer
        return answer

    return ask


@pytest.fixture
def both() -> tuple[ShardedIndex, ShardedIndex]:
    """Parts behind the protocol, and the same ones here."""
    names = [f"v{row}" for row in range(60)]
    cuts = ((0, 25), (25, 60))
    far, near = ([Index.build(VECTORS[a:b], names[a:b], "cosine") for a, b in cuts] for _ in range(2))
    return ShardedIndex([RemotePart(asking(PartHost(part))) for part in far], together=2), ShardedIndex(near)


def test_every_question_passes_the_protocol(both: tuple[ShardedIndex, ShardedIndex], tmp_path: Path) -> None:
    ours, plain = both
    assert all(isinstance(part, Part) for part in (*ours.parts, *plain.parts))
    for index in both:
        index.add(QUERIES[:2], ["new", "newer"])
        index.update(QUERIES[2:3], ["v40"])
        index.remove(["v0", "v59", "new"])
    assert (len(ours), ours.metric, ours.width, ours.ids) == (len(plain), "cosine", 6, plain.ids)
    only = [["v1", "v30"], [], plain.ids, ["v50"]]
    same(ours.search(QUERIES, [1, 2, 3, 70], exclude=["v3"]), plain.search(QUERIES, [1, 2, 3, 70], exclude=["v3"]))
    same(ours.search(QUERIES[0], 3, allow=only[:1]), plain.search(QUERIES[0], 3, allow=only[:1]))
    same(ours.within(QUERIES, 0.2, allow=only), plain.within(QUERIES, 0.2, allow=only))
    np.testing.assert_array_equal(ours.vectors(["v40", "v7"]), plain.vectors(["v40", "v7"]))
    for index in both:
        index.compact()
    assert ours.info() == plain.info()
    ours.export(tmp_path / "vectors")
    ours.save(tmp_path / "index")
    same(ShardedIndex.load(tmp_path / "index").search(QUERIES, 9), plain.search(QUERIES, 9))


def test_errors_are_those_of_the_index(both: tuple[ShardedIndex, ShardedIndex]) -> None:
    questions: list[tuple[type[Exception], Callable[[Part], object]]] = [
        (UnknownIdError, lambda part: part.remove(["nobody"])),
        (DuplicateIdError, lambda part: part.add(QUERIES[:1], ["v1"])),
        (InputError, lambda part: part.search(QUERIES[:, :2])),
        (ValueRangeError, lambda part: part.search(QUERIES * np.nan)),
    ]
    for error, question in questions:
        with pytest.raises(error) as far:
            question(both[0].parts[0])
        with pytest.raises(error) as near:
            question(both[1].parts[0])
        assert str(far.value) == str(near.value)
    with pytest.raises(UnknownIdError, match=r"'nobody' is not in the index; expected ids of the index"):
        both[0].parts[0].remove(["nobody"])
    with pytest.raises(PartError, match="TypeError"):
        content(PartHost(both[1].parts[0]).answer("search", {"wrong": 1}))
    with pytest.raises(InputError, match="verb 'drop'; expected one of about, size"):
        content(PartHost(both[1].parts[0]).answer("drop", {}))
    with pytest.raises(PartError, match="strange"):
        content({"refused": {"error": "SystemExit", "given": "strange", "expected": "", "remedy": "", "option": ""}})


@pytest.mark.slow
def test_parts_live_in_processes(tmp_path: Path) -> None:
    plain = ShardedIndex.build(VECTORS, tmp_path / "index", shards=2, metric="l2")
    with open_in_processes(tmp_path / "index") as index:
        same(index.search(QUERIES, 9), plain.search(QUERIES, 9))
        assert index.info() == plain.info()
        # What was asked before Ctrl-C is answered later, and is not the answer to the next question.
        process: Any = index.parts[0]
        process._ask.__self__._here.send((0, "ids", {}))
        assert [len(part) for part in index.parts] == [30, 30]
        index.add(QUERIES[:1], [100])
        index.save(tmp_path / "more")
        with pytest.raises(DuplicateIdError, match="id 100 is in the index"):
            index.add(QUERIES[:1], [100])
    assert ShardedIndex.load(tmp_path / "more").search(QUERIES[0], 1).ids == [[100]]
    with pytest.raises(PartError, match=r"process of .*part-00000.* ended"):
        len(index)
    (tmp_path / "more" / "part-00001" / "weights.safetensors").unlink()
    with pytest.raises(BundleError, match="weights"), open_in_processes(tmp_path / "more"):
        pass


def test_actors_never_hold_the_last_cpu() -> None:
    for free in (1, 2, 7, 63):
        for parts in (1, 2, 3, 8, 100):
            share = _share(free, parts)
            assert 0 < share <= 1
            assert share * parts <= free + 1e-9


SCRIPT = """
import sys
import numpy as np
from isthmus.errors import BundleError, DuplicateIdError, PartError
from isthmus.index import ShardedIndex
from isthmus.integrations.ray_index import open_on_ray, ray_tasks
from isthmus.machine.ray_here import started

queries = np.load("queries.npy")
with started(2) as ray:
    plain = ShardedIndex.build("vectors.npy", "index", shards=3, engine=ray_tasks)
    try:
        ShardedIndex.build("twice.parquet", "never", shards=3, engine=ray_tasks)
    except DuplicateIdError as error:
        assert "58 is given twice" in str(error), error
    with open_on_ray("index") as index:
        assert index.search(queries, 7).ids == plain.search(queries, 7).ids
        assert index.info() == plain.info()
        try:
            index.add(queries[:1], [5])
        except DuplicateIdError as error:
            assert "5 is in the index" in str(error)
        index.add(queries[:1] * 100, [500])
        index.save("more")
        # More parts than CPUs hold only a share of one, so that a task still finds one.
        assert ray.get(ray.remote(num_cpus=1)(lambda: 1).remote(), timeout=60) == 1
    try:
        index.search(queries, 7)
    except PartError as error:
        assert "was lost" in str(error)
    assert ShardedIndex.load("more").search(queries[0], 1).ids == [[500]]
print("done")
"""


@pytest.mark.slow
def test_parts_are_built_and_live_on_ray(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    np.save(tmp_path / "vectors.npy", VECTORS)
    np.save(tmp_path / "queries.npy", QUERIES)
    table = pa.table({"id": [*range(59), 58], "vector": list(VECTORS)})
    pq.write_table(table, tmp_path / "twice.parquet")
    (tmp_path / "script.py").write_text(SCRIPT)
    env = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=400
    )
    assert (done.returncode, done.stdout.strip()[-4:]) == (0, "done"), done.stderr
    assert not (tmp_path / "never").exists()
