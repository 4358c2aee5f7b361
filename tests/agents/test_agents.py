"""Bundles as tools of agents: names, schemas, answers equal to those of Python, and refusals that can be read."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from mcp import StdioServerParameters
from mcp.client.client import Client
from tiny_faces import numbers

import isthmus
from isthmus.agents.stdio import server_of
from isthmus.agents.tools import Toolbox
from isthmus.cli import main
from isthmus.errors import InputError
from isthmus.serve.opened import Place, open_bundle

TITLES = {f"b{item:02}": f"The book {item}" for item in range(20)}


def events() -> Any:
    chance = np.random.default_rng(0)
    return [f"u{row // 6}" for row in range(360)], [f"b{item:02}" for item in chance.integers(0, 20, 360)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("agents")
    fitted = isthmus.Recommender.fit(events(), "ease", validation=0.0, progress=False, titles=TITLES)
    fitted.save(place / "books.bundle")
    isthmus.VectorAutoencoder.fit(numbers(60), code=2, hidden=8, epochs=1, progress=False).save(place / "rows.bundle")
    return place


@pytest.fixture(scope="module")
def toolbox(folder: Path) -> Toolbox:
    return Toolbox([open_bundle(Place(name, folder / f"{name}.bundle")) for name in ("books", "rows")])


def with_client(to: Any, ask: Callable[[Client], Awaitable[Any]]) -> Any:
    async def asked() -> Any:
        async with Client(to) as client:
            return await ask(client)

    return anyio.run(asked)


def test_there_is_a_tool_for_each_action_and_none_that_trains(folder: Path) -> None:
    alone = Toolbox([open_bundle(Place("books", folder / "books.bundle"))])
    tools = {tool.name: tool for tool in alone.tools()}
    assert {"recommend", "similar", "explain", "search", "describe_model", "score"} == set(tools)
    schema = tools["recommend"].schema
    assert schema["properties"]["model"]["enum"] == ["books"]
    assert {"history", "k", "exclude", "diversity"} <= set(schema["properties"])


def test_answers_are_those_of_python(folder: Path, toolbox: Toolbox) -> None:
    recommender = isthmus.load(folder / "books.bundle")
    found = toolbox.call("recommend", {"history": ["The book 3", "b07"], "k": 4})
    expected = recommender.recommend([["b03", "b07"]], 4)[0]
    assert [(one["id"], one["score"]) for one in found["items"]] == list(
        zip(expected.ids, expected.scores, strict=True)
    )
    near = toolbox.call("similar", {"item": "b03", "k": 2})
    assert [one["id"] for one in near["items"]] == recommender.similar_items(["b03"], 2)[0].ids
    assert toolbox.call("items", {"text": "book 7", "k": 1})["items"][0]["id"] == "b07"
    told = toolbox.call("describe_model", {"model": "books"})
    assert (told["items"], told["users"], told["builder"]) == (20, 60, "ease")
    assert "u1" not in json.dumps(told)


@pytest.mark.parametrize(
    ("name", "arguments", "match"),
    [
        ("fit", {}, "no tool 'fit'"),
        ("recommend", {"history": ["b03"], "kk": 3}, "kk"),
        ("recommend", {"history": ["b03"], "k": 0}, "k"),
        ("recommend", {"history": ["b03"], "k": 10_000}, "limit"),
        ("recommend", {"history": ["b03"], "model": "nobody"}, "one of: books"),
        ("similar", {"item": "nothing like it"}, "nothing like it"),
        ("describe_model", None, "one of: books, rows"),
        ("describe_model", {"model": "books", "k": 3}, "'k'"),
    ],
)
def test_what_cannot_be_answered_says_why(toolbox: Toolbox, name: str, arguments: Any, match: str) -> None:
    with pytest.raises(InputError, match=match):
        toolbox.call(name, arguments)


def test_the_protocol_carries_answers_and_refusals(toolbox: Toolbox) -> None:
    async def ask(client: Client) -> Any:
        tools = (await client.list_tools()).tools
        found = await client.call_tool("similar", {"item": "b03", "k": 2})
        refused = await client.call_tool("similar", {"item": "b03", "k": -2})
        return tools, found, refused

    tools, found, refused = with_client(server_of(lambda: toolbox), ask)
    assert [tool.name for tool in tools] == [tool.name for tool in toolbox.tools()]
    assert all(tool.annotations.read_only_hint for tool in tools)
    assert (
        found.structured_content
        == json.loads(found.content[0].text)
        == toolbox.call("similar", {"item": "b03", "k": 2})
    )
    assert refused.is_error
    assert "similar" in refused.content[0].text


@pytest.mark.slow
def test_the_command_speaks_over_its_standard_streams(folder: Path) -> None:
    arguments = ["-m", "isthmus", "mcp", str(folder / "books.bundle")]
    command = StdioServerParameters(command=sys.executable, args=arguments, env=dict(os.environ))

    async def ask(client: Client) -> Any:
        return await client.call_tool("recommend", {"history": ["b03"], "k": 3})

    assert len(with_client(command, ask).structured_content["items"]) == 3


def test_the_command_refuses_what_answers_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mcp", str(tmp_path / "nowhere")]) == 2
    assert "does not exist" in capsys.readouterr().err
