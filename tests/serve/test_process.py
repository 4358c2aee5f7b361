"""A server in a process of its own: clients of other projects, signals, bodies that are no requests."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from serving import asking
from serving import served as application
from tiny_faces import TEXTS, made

import isthmus
from isthmus.cli import main
from isthmus.serve.measuring.child import Child, served
from isthmus.serve.measuring.load import Questions, crowded, paced

PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
"""One grey pixel."""

WORDS: list[Any] = [None, True, -1, 0, 1, 0.5, 1e308, 2**70, "", "a", "\u0000", "é" * 50, PICTURE]
WORDS += [[], [[]], {}, {"a": []}, [1, "a", None]]
NAMES = ("history", "user", "k", "exclude", "allow", "diversity", "explain", "calibrated", "item", "items", "text")
NAMES += ("texts", "input", "vectors", "rows", "csv", "images", "codes", "model", "n", "steps", "a", "b", "seed")

BASES: list[tuple[str, str, dict[str, Any]]] = [
    ("ease", "recommend", {"history": [1, 2, 77], "k": 3, "diversity": 0.5, "exclude": [3], "explain": True}),
    ("ease", "recommend", {"history": [[1, 5], [2, 6]], "allow": [3, 4], "without_popular": 0.5}),
    ("ease", "recommend", {"user": 3, "k": 2}),
    ("ease", "score", {"history": [1], "items": [2, 3]}),
    ("ease", "explain", {"history": [1], "item": 2}),
    ("ease", "similar", {"item": 3, "k": 2}),
    ("ease", "items", {"text": "1", "k": 2}),
    ("ease", "map", {"most": 5}),
    ("text", "search", {"text": "the cat sits", "k": 2, "metric": "cosine"}),
    ("text", "anomalies", {"texts": ["a dog", "a fox"]}),
    ("text", "embeddings", {"input": ["a dog"], "encoding_format": "base64"}),
    ("text", "embeddings", {"input": [1, 2, 3]}),
    ("text", "decode", {"codes": [[0.5] * 4], "strategy": "greedy"}),
    ("text", "interpolate", {"a": "a dog", "b": "a fox", "steps": 2, "strategy": "greedy"}),
    ("text", "sample", {"n": 1, "seed": 3}),
    ("image", "search", {"images": [PICTURE], "pictures": True, "k": 2}),
    ("image", "denoise", {"images": [PICTURE]}),
    ("image", "embeddings", {"input": [PICTURE]}),
    ("image", "interpolate", {"a": PICTURE, "b": PICTURE, "steps": 2}),
    ("vector", "anomalies", {"vectors": [[0.5] * 6]}),
    ("vector", "search", {"csv": "a,b,c,d,e,f\n1,2,3,4,5,6\n", "k": 2}),
    ("vector", "embeddings", {"input": [[0.5] * 6]}),
    ("detector", "anomalies", {"rows": [{"a": 1, "b": 2}, {"a": "x"}], "explain": True}),
    ("detector", "anomalies", {"vectors": [[0.5] * 6], "explain": True, "columns": 2}),
    ("compressor", "encode", {"vectors": [[0.5] * 8]}),
]


def malformed(generator: random.Random, models: Sequence[str], paths: Sequence[str]) -> tuple[str, bytes]:
    """A path, and a body that is no request, or one with mistakes, or none."""
    kind = generator.randrange(6)
    if kind == 0:
        return generator.choice(paths), generator.randbytes(generator.randrange(60))
    if kind == 1:
        return generator.choice(paths), json.dumps(value(generator, 4)).encode()
    model, path, base = generator.choice([one for one in BASES if one[0] in models])
    document = {"model": model, **base}
    # A field is replaced or added, and sometimes another one.
    for _ in range(generator.randrange(3)):
        document[generator.choice([*base, generator.choice(NAMES)])] = value(generator, 2)
    body = json.dumps(document).encode()
    if kind > 2:
        return path, body
    place = generator.randrange(len(body) + 1)
    return path, body[:place] + generator.randbytes(generator.randrange(3)) + body[place + generator.randrange(4) :]


def value(generator: random.Random, depth: int) -> Any:
    if depth == 0 or generator.random() < 0.5:
        return generator.choice(WORDS)
    if generator.random() < 0.5:
        return [value(generator, depth - 1) for _ in range(generator.randrange(4))]
    return {generator.choice(NAMES): value(generator, depth - 1) for _ in range(generator.randrange(3))}


def no_failure(count: int, *models: str) -> None:
    app, service = application(*models, window=0.0)
    paths = sorted({action.name for one in service.shelf.models.values() for action in one.offer.actions})
    generator = random.Random(0)

    async def ask(client: httpx.AsyncClient) -> list[tuple[int, str, bytes]]:
        failed = []
        for _ in range(count):
            path, body = malformed(generator, models, paths)
            kind = generator.choice(["application/json"] * 8 + ["image/png", "text/csv"])
            response = await client.post(f"/v1/{path}", content=body, headers={"content-type": kind})
            assert response.headers["content-type"].startswith("application/")
            if response.status_code >= 500:
                failed.append((response.status_code, path, body))
        return failed

    assert asking(app, ask, service) == []


def test_malformed_bodies_are_no_failures() -> None:
    no_failure(100, "ease")


@pytest.mark.slow
def test_ten_thousand_malformed_bodies_are_no_failures() -> None:
    no_failure(10_000, "ease", "text", "image", "vector", "detector", "compressor")


# --- other processes -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles")
    for name in ("ease", "text"):
        made(name).save(folder / f"{name}.bundle")
    return folder


@pytest.fixture(scope="module")
def child(bundles: Path) -> Iterator[Child]:
    with served(str(bundles / "ease.bundle"), str(bundles / "text.bundle")) as running:
        yield running


def wait_for(child: Child, text: str) -> None:
    deadline = time.monotonic() + 60
    while text not in child.log.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert text in child.log.read_text()


@pytest.mark.slow
def test_the_client_of_openai(child: Child, bundles: Path) -> None:
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=f"{child.address}/v1", api_key="none", max_retries=0)
    codes = isthmus.load(bundles / "text.bundle").encode(TEXTS[:3])
    for given in ({}, {"encoding_format": "float"}, {"dimensions": codes.shape[1]}):
        answer = client.embeddings.create(model="text", input=TEXTS[:3], **given)
        assert np.array_equal(np.array([one.embedding for one in answer.data], np.float32), codes)
    assert answer.usage.prompt_tokens > 0
    assert [one.id for one in client.models.list()] == ["ease", "text"]
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        client.embeddings.create(model="text", input="a", dimensions=1)
    assert "dimensions" in refused.value.body["detail"]
    with pytest.raises(openai.NotFoundError) as unknown:
        client.embeddings.create(model="other", input="a")
    assert "text" in unknown.value.body["detail"]


@pytest.mark.slow
def test_the_client_of_langchain(child: Child, bundles: Path) -> None:
    langchain = pytest.importorskip("langchain_openai")
    client = langchain.OpenAIEmbeddings(
        model="text", base_url=f"{child.address}/v1", api_key="none", check_embedding_ctx_length=False
    )
    model = isthmus.load(bundles / "text.bundle")
    assert np.array_equal(np.array(client.embed_documents(TEXTS[:2]), np.float32), model.encode(TEXTS[:2]))
    assert np.array_equal(np.array(client.embed_query(TEXTS[0]), np.float32), model.encode(TEXTS[:1])[0])


@pytest.mark.slow
def test_load_is_answered(child: Child) -> None:
    questions = Questions(child.address, "/v1/recommend", [{"history": [1, 2]}, {"history": [3]}])
    for found in (asyncio.run(paced(questions, 50, 1.0)), asyncio.run(crowded(questions, 4, 0.5))):
        assert set(found.statuses) == {200}
        assert found.milliseconds(0.99) >= found.milliseconds(0.5) > 0
        assert found.rate > 0
    assert child.megabytes() is None or child.megabytes() > 50


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGHUP")
def test_signals(tmp_path: Path) -> None:
    path = tmp_path / "model.bundle"
    made("ease").save(path)
    with served(str(path), "--allow-reload", ISTHMUS_TOKEN="sesame") as child:
        client = httpx.Client(base_url=child.address, headers={"Authorization": "Bearer sesame"})
        assert httpx.get(f"{child.address}/v1/models").status_code == 401
        assert client.get("/v1/models").json()["data"][0]["about"]["builder"] == "ease"
        made("mult-vae").save(path)
        child.process.send_signal(signal.SIGHUP)
        wait_for(child, '"reloaded"')
        assert client.get("/v1/models").json()["data"][0]["about"]["builder"] == "mult-vae"
        (path / "manifest.json").write_text("{")
        child.process.send_signal(signal.SIGHUP)
        wait_for(child, '"reload failed"')
        assert client.post("/v1/recommend", json={"history": [1]}).status_code == 200
        child.process.send_signal(signal.SIGTERM)
        assert child.process.wait(60) == 0
        wait_for(child, '"stopped"')


@pytest.mark.slow
def test_bench_prints_figures(bundles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", str(bundles / "ease.bundle"), "--http", "--duration", "0.5", "--clients", "3", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["action"] == "recommend"
    for load in ("steady", "full"):
        assert set(document[load]["answers"]) == {"200"}
        assert document[load]["requests_per_second"] > 0
    assert main(["bench", str(bundles / "ease.bundle")]) == 2
    assert "--http" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ease", "text", "image", "vector", "detector", "compressor"])
def test_what_is_measured_is_answered(name: str) -> None:
    app, service = application(name)
    trial = service.shelf.models[name].offer.trial
    assert trial is not None
    action, documents = trial(2, 0)
    assert len(documents) == 2

    async def ask(client: httpx.AsyncClient) -> list[int]:
        return [(await client.post(f"/v1/{action}", json=one)).status_code for one in documents]

    assert asking(app, ask, service) == [200, 200]
