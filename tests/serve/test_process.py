"""A server in a process of its own: clients of other projects, signals, bodies that are no requests."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
import time
from collections.abc import Iterator
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
from isthmus.serve.child import Child, served
from isthmus.serve.load import Questions, crowded, paced

WORDS: list[Any] = [
    None,
    True,
    -1,
    0,
    1,
    1e308,
    2**70,
    "",
    "a",
    "\u0000",
    "é" * 50,
    [],
    [[]],
    {},
    {"a": []},
    [1, "a", None],
]
NAMES = ("history", "user", "k", "exclude", "allow", "diversity", "explain", "calibrated", "item", "items", "text")
NAMES += (
    "texts",
    "input",
    "vectors",
    "rows",
    "csv",
    "images",
    "codes",
    "model",
    "n",
    "steps",
    "a",
    "b",
    "seed",
    "most",
)


def malformed(generator: random.Random) -> bytes:
    """A body that is no request, or hardly one."""
    kind = generator.randrange(4)
    if kind == 0:
        return generator.randbytes(generator.randrange(60))
    document: Any = {name: value(generator, 3) for name in generator.sample(NAMES, generator.randrange(1, 5))}
    body = json.dumps(value(generator, 4) if kind == 1 else document).encode()
    if kind == 2:
        return body
    place = generator.randrange(len(body) + 1)
    return body[:place] + generator.randbytes(generator.randrange(3)) + body[place + generator.randrange(4) :]


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
            path, body = generator.choice(paths), malformed(generator)
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
    with pytest.raises(openai.UnprocessableEntityError, match="dimensions"):
        client.embeddings.create(model="text", input="a", dimensions=1)
    with pytest.raises(openai.NotFoundError, match="ease"):
        client.embeddings.create(model="other", input="a")


@pytest.mark.slow
def test_the_client_of_langchain(child: Child, bundles: Path) -> None:
    langchain = pytest.importorskip("langchain_openai")
    client = langchain.OpenAIEmbeddings(
        model="text", base_url=f"{child.address}/v1", api_key="none", check_embedding_ctx_length=False
    )
    codes = isthmus.load(bundles / "text.bundle").encode(TEXTS[:2])
    assert np.array_equal(np.array(client.embed_documents(TEXTS[:2]), np.float32), codes)
    assert np.array_equal(np.array(client.embed_query(TEXTS[0]), np.float32), codes[0])


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
    assert main(["bench", str(bundles / "ease.bundle"), "--http", "--seconds", "0.5", "--clients", "3", "--json"]) == 0
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
