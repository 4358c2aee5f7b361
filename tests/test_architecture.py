"""Rules of the house that a linter does not know. Each test lists every offender, as ``path:line what``."""

from __future__ import annotations

import ast
import builtins
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

MAX_LINES = 400
MAX_FUNCTION_LINES = 45
MAX_FILES = 14

FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "torch.load", "torch.save"}
GLOBAL_SEEDS = {"torch.manual_seed", "np.random.seed", "numpy.random.seed", "random.seed"}
DOMAIN_WORDS = re.compile(r"\b(users?|books?|movies?|ratings?|recommend\w*|playlists?|customers?)\b", re.IGNORECASE)
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK|NotImplementedError)\b")
DOMAIN_FREE = tuple(f"src/isthmus/{folder}/" for folder in ("core", "training", "index"))


@dataclass(frozen=True)
class Source:
    """A Python file: where it is (from the top of the project, with slashes) and its text."""

    name: str
    text: str

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(ast.parse(self.text)))

    @property
    def calls(self) -> Iterator[ast.Call]:
        return (node for node in self.nodes if isinstance(node, ast.Call))


Offence = tuple[int, str]
Check = Callable[[Source], Iterator[Offence]]


def sources() -> list[Source]:
    paths = [path for folder in ("src", "adapters") for path in sorted((ROOT / folder).rglob("*.py"))]
    return [Source(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")) for path in paths]


SOURCES = sources()

# --- the rules -------------------------------------------------------------------------------------------------------


def long_files(source: Source) -> Iterator[Offence]:
    length = len(source.text.splitlines())
    if length > MAX_LINES:
        yield length, f"{length} lines, more than {MAX_LINES}"


def long_functions(source: Source) -> Iterator[Offence]:
    """Lines of code of a function; its signature and docstring cost nothing."""
    for node in source.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            length = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            if length > MAX_FUNCTION_LINES:
                yield node.lineno, f"{node.name} has {length} lines, more than {MAX_FUNCTION_LINES}"


def unsafe_code(source: Source) -> Iterator[Offence]:
    """What unpickles, or runs text as code."""
    for node in source.nodes:
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names if alias.name.split(".")[0] in FORBIDDEN_MODULES]
        elif isinstance(node, ast.ImportFrom):
            found = [str(node.module)] if (node.module or "").split(".")[0] in FORBIDDEN_MODULES else []
        elif isinstance(node, ast.Call):
            found = list(unsafe_call(node))
        else:
            continue
        yield from ((node.lineno, name) for name in found)


def unsafe_call(node: ast.Call) -> Iterator[str]:
    name = called(node)
    if name in FORBIDDEN_CALLS or name.endswith("pickle"):
        yield name
    for keyword in node.keywords:
        if keyword.arg == "allow_pickle" and getattr(keyword.value, "value", True) is not False:
            yield "allow_pickle"


def prints(source: Source) -> Iterator[Offence]:
    """Only the command line prints."""
    if not source.name.startswith("src/isthmus/cli/"):
        yield from ((node.lineno, "print") for node in source.calls if called(node) == "print")


def domain_words(source: Source) -> Iterator[Offence]:
    """Names of one domain in code that every domain shares."""
    if source.name.startswith(DOMAIN_FREE):
        names = ((getattr(node, "lineno", 0), name) for node in source.nodes for name in identifiers(node))
        yield from ((line, name) for line, name in names if DOMAIN_WORDS.search(name.replace("_", " ")))


def unfinished_work(source: Source) -> Iterator[Offence]:
    for number, line in enumerate(source.text.splitlines(), start=1):
        yield from ((number, word) for word in UNFINISHED.findall(line))


def global_seeds(source: Source) -> Iterator[Offence]:
    """Random numbers come from generators; only the contracts of ``isthmus.testing`` may look at the global one."""
    if not source.name.startswith("src/isthmus/testing/"):
        yield from ((node.lineno, called(node)) for node in source.calls if called(node) in GLOBAL_SEEDS)


def undefined_names(source: Source) -> Iterator[Offence]:
    """Names that no line of the file defines. The linter and the type checker cannot look for them, because to both
    the shapes in annotations are names."""
    defined = {*dir(builtins), "__file__", "__name__"} | {name for node in source.nodes for name in definitions(node)}
    for node in source.nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id not in defined:
            yield node.lineno, node.id


def definitions(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield from ((alias.asname or alias.name).split(".")[0] for alias in node.names)
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    if isinstance(node, ast.arg):
        yield node.arg
    if isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
        yield node.name


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


def offenders(check: Check, files: list[Source]) -> list[str]:
    return [f"{source.name}:{line} {what}" for source in files for line, what in check(source)]


def test_there_is_something_to_look_at() -> None:
    assert len(SOURCES) > 300


def test_files_are_short() -> None:
    assert offenders(long_files, SOURCES) == []


def test_functions_are_short() -> None:
    assert offenders(long_functions, SOURCES) == []


def test_nothing_unpickles_or_runs_text() -> None:
    assert offenders(unsafe_code, SOURCES) == []


def test_only_the_command_line_prints() -> None:
    assert offenders(prints, SOURCES) == []


def test_the_core_names_no_domain() -> None:
    assert offenders(domain_words, SOURCES) == []


def test_no_work_is_left_over() -> None:
    assert offenders(unfinished_work, SOURCES) == []


def test_random_numbers_come_from_generators() -> None:
    assert offenders(global_seeds, SOURCES) == []


def test_names_are_defined() -> None:
    assert offenders(undefined_names, SOURCES) == []


def test_folders_are_short() -> None:
    names = [Path(source.name) for source in SOURCES]
    files = Counter(name.parent.as_posix() for name in names if name.name != "__init__.py")
    assert {folder: count for folder, count in files.items() if count > MAX_FILES} == {}


# --- the rules themselves, tried -------------------------------------------------------------------------------------

CORE = "src/isthmus/core/part.py"
SEEN: list[tuple[Check, str]] = [
    (long_files, "x = 1\n" * (MAX_LINES + 1)),
    (long_functions, "def long():\n" + "    x = 1\n" * (MAX_FUNCTION_LINES + 1)),
    (long_functions, "async def long():\n    '''Text.'''\n" + "    x = 1\n" * (MAX_FUNCTION_LINES + 1)),
    *((unsafe_code, text) for text in ("import pickle", "from joblib import dump", "torch.load(p)", "eval('1')")),
    *((unsafe_code, text) for text in ("exec(x)", "compile(x, '', 'exec')", "pd.read_pickle(p)", "torch.save(a, b)")),
    *((unsafe_code, text) for text in ("np.load(p, allow_pickle=True)", "np.load(p, allow_pickle=trusted)")),
    (prints, "print(x)"),
    *(
        (domain_words, text)
        for text in ("user_codes = 1", "def movies(): pass", "class Ratings: pass", "x.books", "f = lambda user: 1")
    ),
    *((unfinished_work, text) for text in ("# TODO: later", "raise NotImplementedError")),
    *((global_seeds, text) for text in ("torch.manual_seed(0)", "np.random.seed(0)")),
]
SEEN += [(undefined_names, text) for text in ("x = y", "def f(a: Nowhere): pass", "import a.b\nb.c()")]
PASSED: list[tuple[Check, str]] = [
    (long_files, "x = 1\n" * MAX_LINES),
    (long_functions, "def short():\n    '''" + "Text.\n" * 50 + "'''\n" + "    x = 1\n" * MAX_FUNCTION_LINES),
    *(
        (unsafe_code, text)
        for text in ("re.compile(x)", "np.load(p, allow_pickle=False)", "import json", "model.eval()")
    ),
    *(
        (undefined_names, text)
        for text in ("import a.b\na.b()", "def f(a): return a", "lambda q: q", "[y for y in range(3)]")
    ),
    *((undefined_names, text) for text in ("with open('x') as g: g", "match 1:\n    case [z, *r]: print(z, r)")),
    (prints, "console.print(x)"),
    (domain_words, "item_codes = 'users'"),
    (unfinished_work, "todo = 1"),
    (global_seeds, "torch.Generator().manual_seed(0)"),
]


def test_each_rule_sees_what_it_is_for() -> None:
    assert [(check.__name__, text) for check, text in SEEN if not list(check(Source(CORE, text)))] == []


def test_each_rule_lets_the_rest_pass() -> None:
    assert [(check.__name__, text) for check, text in PASSED if list(check(Source(CORE, text)))] == []


@pytest.mark.parametrize(
    ("check", "place"),
    [
        (prints, "src/isthmus/cli/output.py"),
        (domain_words, "adapters/isthmus_interactions/recommender.py"),
        (global_seeds, "src/isthmus/testing/recipe.py"),
    ],
    ids=["print", "domain", "seed"],
)
def test_some_places_are_free(check: Check, place: str) -> None:
    text = "print(user)\ntorch.manual_seed(0)"
    assert list(check(Source(CORE, text))) != []
    assert list(check(Source(place, text))) == []
