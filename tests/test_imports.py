"""No circle of imports in ``src/`` and ``adapters/``, those under ``TYPE_CHECKING`` included; imports inside functions,
which happen later, do not count."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

Graph = Mapping[str, set[str]]


def modules() -> dict[str, Path]:
    """Every module by its dotted name."""
    found = {}
    for folder in ("src", "adapters"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(text: str, known: Iterable[str]) -> Iterator[str]:
    """The modules among ``known`` that a text imports outside its functions."""
    known = set(known)
    waiting: list[ast.AST] = [ast.parse(text)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield from [name for name in (inner if inner in known else node.module,) if name in known]
        waiting += ast.iter_child_nodes(node)


def circles(graph: Graph) -> list[list[str]]:
    """The strongly connected components of more than one module (Tarjan 1972), and modules that import themselves."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        number[name] = low[name] = len(number)
        stack.append(name)
        for other in sorted(graph[name]):
            if other not in number:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], number[other])
        if low[name] == number[name]:
            start = stack.index(name)
            if len(stack) - start > 1 or name in graph[name]:
                found.append(sorted(stack[start:]))
            del stack[start:]

    for name in sorted(graph):
        if name not in number:
            visit(name)
    return sorted(found)


def graph_of_the_house() -> Graph:
    known = modules()
    return {name: set(imported(path.read_text(encoding="utf-8"), known)) for name, path in known.items()}


def test_no_circle_of_imports() -> None:
    assert circles(graph_of_the_house()) == []


def test_the_graph_has_what_is_imported() -> None:
    graph = graph_of_the_house()
    assert {"isthmus.protocols", "isthmus.batch"} <= graph["isthmus.core.autoencoder"]
    assert not {name for name in graph["isthmus.protocols"] if name.startswith("isthmus.core")}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("import a.b", ["a.b"]),
        ("from a import b, c", ["a", "a.b"]),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from a.b import C", ["a.b"]),
        ("try:\n    import a\nexcept ImportError:\n    pass", ["a"]),
        ("def f():\n    import a", []),
        ("class C:\n    import a", ["a"]),
    ],
)
def test_what_counts_as_an_import(text: str, wanted: list[str]) -> None:
    assert sorted(imported(text, ["a", "a.b"])) == wanted


def test_planted_circles_are_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set(), "e": {"e"}, "f": {"g"}, "g": {"a", "f"}}
    assert circles(graph) == [["b", "c"], ["e"], ["f", "g"]]
    assert circles({"a": {"b"}, "b": set()}) == []
