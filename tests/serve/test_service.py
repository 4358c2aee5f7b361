"""What the server promises beside its answers: errors, limits, names, tokens, logs, figures, reload."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from serving import asking, opened, over, post, served
from tiny_faces import made

import isthmus
from isthmus.actions import Action, Offer
from isthmus.actions.requests import Limits, Request
from isthmus.cli import main
from isthmus.errors import BundleError, InputError
from isthmus.serve.opened import Opened, open_bundle, places
from isthmus.serve.server import keep_out_of_collections, listening
from isthmus.serve.settings import ServerSettings
from isthmus.serve.shelf import Shelf


def problem(response: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["type"] == f"urn:isthmus:problem:{kind}"
    assert document["status"] == status
    return document


REFUSED: list[tuple[Any, int, str]] = [
    ({"history": [1], "k": 0}, 422, "invalid-request"),
    ({"history": [1], "k": 51}, 422, "invalid-request"),
    ({"history": [1] * 101}, 422, "invalid-request"),
    ({"history": [1], "kk": 3}, 422, "invalid-request"),
    ({"history": [1], "user": 1}, 422, "invalid-request"),
    ({"history": [True]}, 422, "invalid-request"),
    ({"history": [[1, 2, 3]]}, 422, "invalid-request"),
    ({"user": 10**9}, 404, "unknown-id"),
    ({"history": [1], "calibrated": True}, 422, "invalid-request"),
    ({"history": [1], "model": "other"}, 404, "unknown-model"),
    ([1], 400, "not-an-object"),
]


@pytest.mark.parametrize(("document", "status", "kind"), REFUSED)
def test_what_cannot_be_answered_is_a_problem(document: Any, status: int, kind: str) -> None:
    app, _ = served("ease", limits=Limits(k=50, history=100, batch=10))
    assert problem(post(app, "/v1/recommend", document), status, kind)["detail"]


BODIES: list[tuple[bytes, str, int, str]] = [
    (b"", "application/json", 400, "not-json"),
    (b"{", "application/json", 400, "not-json"),
    (b"\xff", "application/json", 400, "not-json"),
    (b'{"history": ["\\ud800"]}', "application/json", 400, "not-json"),
    (b"[" * 100_000, "application/json", 400, "not-json"),
    (b'{"history": [NaN]}', "application/json", 400, "not-json"),
    (b'{"history": [1e999]}', "application/json", 422, "invalid-request"),
    (b'{"history": [' + b"9" * 4000 + b"]}", "application/json", 422, "invalid-request"),
    (b'{"history": [1]}', "text/plain", 415, "wrong-type"),
    (b'{"history": [1]}', "application/x-www-form-urlencoded", 415, "wrong-type"),
    (b" " * 200_001, "application/json", 413, "too-large"),
]


@pytest.mark.parametrize(("body", "kind", "status", "problem_kind"), BODIES)
def test_bodies(body: bytes, kind: str, status: int, problem_kind: str) -> None:
    app, _ = served("ease", body=200_000)

    async def ask(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/v1/recommend", content=body, headers={"content-type": kind})

    problem(asking(app, ask), status, problem_kind)


def get(app: Any, path: str, **headers: str) -> httpx.Response:
    async def ask(client: httpx.AsyncClient) -> httpx.Response:
        return await client.get(path, headers=headers)

    return asking(app, ask)


def test_several_models_are_named() -> None:
    app, _ = served("ease", "mult-vae", "vector")
    assert "ease, mult-vae" in problem(post(app, "/v1/recommend", {"history": [1]}), 422, "which-model")["detail"]
    assert post(app, "/v1/recommend", {"history": [1], "model": "mult-vae"}).json()["model"] == "mult-vae"
    problem(post(app, "/v1/recommend", {"history": [1], "model": "vector"}), 422, "wrong-model")
    assert post(app, "/v1/anomalies", {"vectors": [[0] * 6]}).json()["model"] == "vector"
    listed = get(app, "/v1/models").json()
    assert [one["id"] for one in listed["data"]] == ["ease", "mult-vae", "vector"]
    assert listed["data"][0]["domain"] == "interactions"
    assert "recommend" in listed["data"][0]["actions"]
    problem(post(app, "/v1/nothing", {}), 404, "unknown-path")
    problem(get(app, "/nothing"), 404, "unknown-path")
    problem(get(app, "/v1/recommend"), 405, "unknown-path")


def test_the_openapi_document_describes_what_is_served() -> None:
    app, _ = served("ease", "mult-vae", "vector", token="secret")
    document = get(app, "/openapi.json", authorization="Bearer secret").json()
    assert {"/v1/recommend", "/v1/search", "/v1/embeddings", "/v1/anomalies", "/v1/models"} <= set(document["paths"])
    text = json.dumps(document)
    references = {part.partition('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert references <= set(document["components"]["schemas"])
    assert document["security"] == [{"token": []}]


def test_only_own_names_are_answered_on_loopback() -> None:
    app, _ = served("ease", names=("models.local",))
    for host in ("localhost:8000", "127.0.0.1", "[::1]:8000", "MODELS.local"):
        assert get(app, "/health", host=host).status_code == 200
    for host in ("evil.example", "localhost.evil.example:8000", ""):
        problem(get(app, "/health", host=host), 421, "foreign-host")
    anywhere, _ = served("ease", host="0.0.0.0")
    assert get(anywhere, "/health", host="models.example").status_code == 200
    assert "access-control-allow-origin" not in get(app, "/health", origin="http://evil.example").headers


def test_a_token_is_demanded() -> None:
    app, _ = served("ease", token="sesame")
    for headers in ({}, {"authorization": "Bearer other"}, {"authorization": "Basic sesame"}):
        assert problem(get(app, "/v1/models", **headers), 401, "no-token")
        problem(get(app, "/metrics", **headers), 401, "no-token")
    assert get(app, "/v1/models", authorization="bearer sesame").status_code == 200
    assert get(app, "/health").status_code == get(app, "/ready").status_code == get(app, "/").status_code == 200


def slow_model(go: threading.Event) -> Opened:
    """A model that answers when it is told to, and then fails for one request."""

    class Wait(Request):
        fail: bool = False

    def answer(request: Wait) -> dict[str, Any]:
        go.wait(10)
        if request.fail:
            raise RuntimeError("the history 123456 is in this text")
        return {"done": True}

    def together(requests: Sequence[Wait]) -> list[dict[str, Any]]:
        return [answer(one) for one in requests]

    return Opened("slow", "tests", "", None, Offer((Action("wait", "Waits.", Wait, answer, together, lambda _: 0),)))


def test_a_full_queue_refuses_and_recovers() -> None:
    go = threading.Event()
    app, service = over([slow_model(go)], queue=3, window=0.0)

    async def ask(client: httpx.AsyncClient) -> list[int]:
        first = asyncio.create_task(client.post("/v1/wait", json={}))
        await asyncio.sleep(0.05)
        others = [asyncio.create_task(client.post("/v1/wait", json={})) for _ in range(5)]
        await asyncio.sleep(0.05)
        go.set()
        responses = await asyncio.gather(first, *others)
        refused = [one for one in responses if one.status_code == 429]
        assert all(one.headers["retry-after"] == "1" for one in refused)
        again = await client.post("/v1/wait", json={})
        return [*sorted(one.status_code for one in responses), again.status_code]

    assert asking(app, ask, service) == [200, 200, 200, 200, 429, 429, 200]


def test_a_failure_tells_nothing_and_reaches_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    go = threading.Event()
    go.set()
    app, service = over([slow_model(go)], window=0.02)

    async def ask(client: httpx.AsyncClient) -> list[httpx.Response]:
        asked = [{"fail": place == 1} for place in range(3)]
        return list(await asyncio.gather(*(client.post("/v1/wait", json=one) for one in asked)))

    with caplog.at_level(logging.INFO, "isthmus.serve"):
        responses = asking(app, ask, service)
    assert [one.status_code for one in responses] == [200, 500, 200]
    assert problem(responses[1], 500, "internal") == {
        "type": "urn:isthmus:problem:internal",
        "title": "Internal error",
        "status": 500,
    }
    assert "RuntimeError" in caplog.text
    assert "123456" not in caplog.text


def test_logs_and_figures_hold_no_histories(caplog: pytest.LogCaptureFixture) -> None:
    app, _ = served("ease")
    with caplog.at_level(logging.INFO, "isthmus.serve"):
        post(app, "/v1/recommend", {"history": [777001, 1]})
        post(app, "/v1/recommend?history=777001", {"history": "777001"})
        post(app, "/v1/777001", {})
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == "isthmus.serve"]
    assert [(line["path"], line["status"]) for line in lines] == [
        ("/v1/recommend", 200),
        ("/v1/recommend", 422),
        ("other", 404),
    ]
    figures = get(app, "/metrics").text
    assert 'isthmus_requests_total{path="/v1/recommend",status="200"} 1.0' in figures
    assert "777001" not in caplog.text + figures


def test_reload_swaps_all_models_or_none(tmp_path: Path) -> None:
    path, others = tmp_path / "a.bundle", tmp_path / "b.bundle"
    made("ease").save(path)
    made("vector").save(others)
    shelf = Shelf(places([str(path), f"rows={others}"]), open_bundle)
    assert list(shelf.models) == ["a", "rows"]
    before = shelf.models
    opened("mult-vae").face.save(path)
    asyncio.run(shelf.reload())
    assert shelf.models["a"].offer.about["builder"] == "mult-vae"
    assert before["a"].offer.about["builder"] == "ease"
    (others / "manifest.json").write_text("{}")
    kept = shelf.models
    with pytest.raises(BundleError):
        asyncio.run(shelf.reload())
    assert shelf.models is kept


def test_reload_over_http_only_where_allowed() -> None:
    app, _ = served("ease")
    problem(post(app, "/v1/reload", {}), 404, "unknown-path")
    allowed, service = served("ease", reload_over_http=True)
    before = service.shelf.loaded_at
    assert post(allowed, "/v1/reload", {}).status_code == 200
    assert service.shelf.loaded_at >= before


def test_a_stopping_server_is_not_ready() -> None:
    app, service = served("ease")
    asking(app, lambda client: client.get("/health"), service)
    problem(get(app, "/ready"), 503, "not-ready")


def test_places_and_addresses(tmp_path: Path) -> None:
    assert [place.name for place in places(["x/books.bundle", "films=y/z"])] == ["books", "films"]
    with pytest.raises(InputError, match="NAME=DIR"):
        places(["x/books.bundle", "y/books"])
    isthmus.Index.build(np.eye(3)).save(tmp_path / "index")
    with pytest.raises(InputError, match="answers no requests"):
        open_bundle(places([str(tmp_path / "index")])[0])
    with listening(ServerSettings(port=0)) as first:
        taken = ServerSettings(port=first.getsockname()[1])
        first.listen()
        with pytest.raises(InputError, match="--port"), listening(taken):
            pass
    with pytest.raises(InputError, match="name or address"), listening(ServerSettings(host="no such name")):
        pass


def test_the_command_says_what_is_missing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["serve", "no-such-bundle", "--port", "0"]) == 2
    assert "no-such-bundle" in capsys.readouterr().err
    monkeypatch.setattr("isthmus.cli.sharing.serving.NEEDED", ("no_such_library",))
    assert main(["serve", "x"]) == 2
    assert 'pip install "isthmus[serve]"' in capsys.readouterr().err


def test_what_is_loaded_is_left_alone_by_the_garbage_collector_until_it_is_replaced() -> None:
    class Model:
        """Something that only the collector frees."""

        def __init__(self) -> None:
            self.itself = self

    model = Model()
    gone = weakref.ref(model)
    try:
        keep_out_of_collections()
        assert gc.get_freeze_count() > 1000
        del model
        gc.collect()
        assert gone() is not None
        keep_out_of_collections()
        assert gone() is None
    finally:
        gc.unfreeze()
