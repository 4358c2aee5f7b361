"""Pages whose code is run: blocks in order, in one namespace and one folder, with what they print compared.

``python`` blocks are executed, ``bash`` blocks are commands of isthmus, one a line. A comment before a block says what
else is done with it: ``<!-- not run: REASON -->``, ``<!-- file: NAME -->`` (the block is the text of that file, which
later blocks import or read; a ``pyproject.toml`` is also "installed"), ``<!-- output varies -->`` (numbers and words
depend on the machine). A ``text`` block right after one that was run shows what it printed.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import re
import shlex
import subprocess
import sys
import tomllib
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from plugging import write_distribution

from isthmus.cli import main

_BLOCK = re.compile(
    r"(?:^[ ]*<!-- (?P<mark>[^\n]*?) -->\n+)?^(?P<fence>`{3,})(?P<kind>[^\n`]*)\n(?P<text>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
_NUMBER = re.compile(r"[-−]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?")


@dataclass(frozen=True)
class Snippet:
    """A fenced block: its language, its text, its line in the page, the comment before it, and whether it comes right
    after the block before it."""

    kind: str
    text: str
    line: int
    mark: str
    follows: bool

    @property
    def not_run(self) -> str:
        """Why it is not run; empty where it is. The commands that CI takes out of the README install."""
        if self.mark.startswith("ci:"):
            return "it installs"
        return self.mark.removeprefix("not run:").strip() if self.mark.startswith("not run:") else ""

    @property
    def file(self) -> str:
        """The file whose text it is; empty where it is none."""
        return self.mark.removeprefix("file:").strip() if self.mark.startswith("file:") else ""


def snippets(page: str) -> list[Snippet]:
    """All blocks of a page, in order."""
    found, end = [], 0
    for block in _BLOCK.finditer(page):
        follows = not page[end : block.start()].strip() and end > 0
        line = page.count("\n", 0, block.start("fence")) + 1
        found.append(Snippet(block["kind"].strip(), block["text"], line, block["mark"] or "", follows))
        end = block.end()
    return found


def run(path: Path) -> int:
    """Run the blocks of a page in the current folder.

    Returns:
        How many were run.

    Raises:
        AssertionError: a command that failed, or output that is not what the page shows.
    """
    count, printed = 0, ""
    with _module() as namespace:
        for snippet in snippets(path.read_text(encoding="utf-8")):
            where = f"{path.name}:{snippet.line}"
            if snippet.file:
                Path(snippet.file).parent.mkdir(parents=True, exist_ok=True)
                Path(snippet.file).write_text(snippet.text, encoding="utf-8")
                if snippet.file == "pyproject.toml":
                    _install(snippet.text)
            elif snippet.kind == "text" and snippet.follows and not snippet.not_run:
                _compare(snippet, printed, where)
            elif snippet.kind in ("python", "bash") and not snippet.not_run:
                printed, count = _printed(snippet, where, namespace), count + 1
    return count


@contextlib.contextmanager
def _module() -> Iterator[dict[str, object]]:
    """The namespace of a page, as a module, so that its classes have a home; files that it writes can be imported."""
    module = types.ModuleType("page")
    known = set(sys.modules)
    sys.modules["page"] = module
    sys.path.insert(0, str(Path.cwd()))
    try:
        yield module.__dict__
    finally:
        sys.path.remove(str(Path.cwd()))
        here = str(Path.cwd())
        for name in set(sys.modules) - known:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(here):
                del sys.modules[name]
        sys.modules.pop("page", None)


def _install(project: str) -> None:
    """What ``pip install -e .`` leaves of a project whose modules lie in the current folder."""
    document = tomllib.loads(project)["project"]
    points = document["entry-points"]["isthmus.adapters"].items()
    lines = "\n".join(f"{name} = {value}" for name, value in points)
    write_distribution(Path.cwd(), document["name"], lines, version=document["version"])
    importlib.invalidate_caches()


def _printed(snippet: Snippet, where: str, namespace: dict[str, object]) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        if snippet.kind == "python":
            exec(compile("\n" * (snippet.line) + snippet.text, where, "exec"), namespace)
        else:
            for line in snippet.text.replace("\\\n", " ").splitlines():
                for command in line.split("&&"):
                    words = shlex.split(command, comments=True)
                    if words:
                        _command(words, where)
    return out.getvalue()


def _command(words: list[str], where: str) -> None:
    if words[0] == "pytest":  # of files that the page wrote, out of reach of this run's options
        paths = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir=.", *words[1:]]
        done = subprocess.run(command, env=paths, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, f"{where}: {done.stdout[-2000:]}{done.stderr[-500:]}"
        return
    assert words[0] == "isthmus", f"{where}: only commands of isthmus and pytest are run, not {words[0]!r}"
    assert main(words[1:]) == 0, f"{where}: {' '.join(words)}"


def _compare(snippet: Snippet, printed: str, where: str) -> None:
    if snippet.mark == "output varies":
        assert printed.strip(), f"{where}: nothing was printed"
    else:
        assert _shape(printed) == _shape(snippet.text), f"{where}: the page shows other output than\n{printed}"


def _shape(text: str) -> list[str]:
    """The lines of a text without its numbers, which depend on the machine, and without how it is spaced."""
    return [" ".join(_NUMBER.sub("#", line).split()) for line in text.strip().splitlines()]
