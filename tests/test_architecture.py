"""Rules of the house that a linter does not know."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(path for folder in ("src", "adapters") for path in (ROOT / folder).rglob("*.py"))

MAX_LINES = 400
MAX_FUNCTION_LINES = 45

FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
DOMAIN_WORDS = re.compile(r"\b(users?|books?|movies?|ratings?|recommend\w*|playlists?|customers?)\b", re.IGNORECASE)
DOMAIN_FREE = ("core", "training", "index")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text(encoding="utf-8")))


@pytest.fixture(params=SOURCES, ids=name_of)
def source(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_there_is_something_to_look_at() -> None:
    assert len(SOURCES) > 20


def test_files_are_short(source: Path) -> None:
    length = len(source.read_text(encoding="utf-8").splitlines())
    assert length <= MAX_LINES


def test_functions_are_short(source: Path) -> None:
    """Lines of code of a function; its signature and docstring cost nothing."""
    long = {
        node.name: node.body[-1].end_lineno - first.lineno + 1
        for node in nodes(source)
        if isinstance(node, ast.FunctionDef)
        and (first := node.body[min(1, len(node.body) - 1)] if ast.get_docstring(node) else node.body[0])
        and node.body[-1].end_lineno
        and node.body[-1].end_lineno - first.lineno + 1 > MAX_FUNCTION_LINES
    }
    assert not long


def test_nothing_unpickles_or_runs_text(source: Path) -> None:
    found = [problem for node in nodes(source) for problem in unsafe(node)]
    assert not found


def test_only_the_command_line_prints(source: Path) -> None:
    if "src/isthmus/cli/" in name_of(source):
        return
    found = [ast.unparse(node) for node in nodes(source) if isinstance(node, ast.Call) and called(node) == "print"]
    assert not found


def test_the_core_names_no_domain(source: Path) -> None:
    if not name_of(source).startswith(tuple(f"src/isthmus/{folder}/" for folder in DOMAIN_FREE)):
        return
    names = {text for node in nodes(source) for text in identifiers(node)}
    assert not {name for name in names if DOMAIN_WORDS.search(name.replace("_", " "))}


def test_no_work_is_left_over(source: Path) -> None:
    text = source.read_text(encoding="utf-8")
    assert not re.findall(r"\b(TODO|FIXME|XXX|HACK)\b", text)
    assert "NotImplementedError" not in text


def test_random_numbers_come_from_generators(source: Path) -> None:
    seeds = {"torch.manual_seed", "np.random.seed", "numpy.random.seed", "random.seed"}
    if "src/isthmus/testing/" in name_of(source):
        return
    found = [ast.unparse(node) for node in nodes(source) if isinstance(node, ast.Call) and called(node) in seeds]
    assert not found


@pytest.mark.parametrize(
    "text",
    [
        *("import pickle", "from joblib import dump", "torch.load(p)", "np.load(p, allow_pickle=True)", "eval('1')"),
        *("exec(x)", "compile(x, '', 'exec')", "pd.read_pickle(p)", "torch.save(a, b)"),
    ],
)
def test_the_gate_sees_what_is_unsafe(text: str) -> None:
    assert [problem for node in ast.walk(ast.parse(text)) for problem in unsafe(node)]


@pytest.mark.parametrize("text", ["re.compile(x)", "np.load(p, allow_pickle=False)", "import json", "model.eval()"])
def test_the_gate_lets_the_safe_pass(text: str) -> None:
    assert not [problem for node in ast.walk(ast.parse(text)) for problem in unsafe(node)]


def unsafe(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name.split(".")[0] in FORBIDDEN_MODULES)
    if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in FORBIDDEN_MODULES:
        yield str(node.module)
    if isinstance(node, ast.Call):
        name = called(node)
        if name in FORBIDDEN_CALLS or name in ("torch.load", "torch.save") or name.endswith("pickle"):
            yield name
        for keyword in node.keywords:
            if keyword.arg == "allow_pickle" and getattr(keyword.value, "value", True) is not False:
                yield "allow_pickle"


def called(node: ast.Call) -> str:
    return ast.unparse(node.func) if isinstance(node.func, ast.Name | ast.Attribute) else ""


def identifiers(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        yield node.id
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    if isinstance(node, ast.arg):
        yield node.arg
    if isinstance(node, ast.Attribute):
        yield node.attr
