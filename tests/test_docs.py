"""The pages keep their word: every block of code runs, links lead somewhere, every public name is in the reference."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest
from snippets import run, snippets
from users_files import write_files

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
COMMANDS = DOCS / "commands"
README = ROOT / "README.md"
PAGES = sorted([README, ROOT / "adapters" / "README.md", *DOCS.rglob("*.md")])
# The pages of commands are run by the tests of their adapters, which also compare the documents that are printed.
RUN = [
    page
    for page in PAGES
    if COMMANDS not in page.parents
    and any(s.kind in ("python", "bash") for s in snippets(page.read_text(encoding="utf-8")))
]
FAST = {"architecture.md"}


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize(
    "page", [pytest.param(page, id=name_of(page), marks=() if page.name in FAST else pytest.mark.slow) for page in RUN]
)
def test_every_block_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_files(page.read_text(encoding="utf-8"))
    assert run(page) > 0


def test_blocks_that_are_not_run_say_why() -> None:
    told = {
        (name_of(page), snippet.not_run)
        for page in PAGES
        for snippet in snippets(page.read_text(encoding="utf-8"))
        if snippet.not_run
    }
    assert {why for _, why in told} <= {"it installs", "it needs a GPU", "torchrun starts it"}, told
    strange = [
        f"{name_of(page)}:{snippet.line}: {snippet.kind!r}"
        for page in PAGES
        for snippet in snippets(page.read_text(encoding="utf-8"))
        if not re.fullmatch(
            r"python|bash|text|json|toml|\{(toctree|eval-rst|figure|image|note|tip|warning)\}.*|", snippet.kind
        )
    ]
    assert strange == []


def test_the_two_commands_are_one_line_each() -> None:
    for name in ("demo", "tests"):
        (block,) = re.findall(
            rf"<!-- ci: {name} -->\s*```bash\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL
        )
        assert re.fullmatch(r"pip install [^\n]+ && [^\n]+\n", block)


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 200


def test_links_lead_somewhere() -> None:
    missing = [
        f"{name_of(page)}: {link}"
        for page in PAGES
        for link in re.findall(r"\]\((?!http)([^)#]+)", page.read_text(encoding="utf-8"))
        if not (page.parent / link).exists()
    ]
    assert missing == []


def test_every_page_is_in_the_table_of_contents() -> None:
    listed = set()
    for page in DOCS.rglob("*.md"):
        for block in re.findall(
            r"^```\{toctree\}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        ):
            listed |= {page.parent / f"{line}.md" for line in block.splitlines() if line and not line.startswith(":")}
    assert {page for page in DOCS.rglob("*.md") if page != DOCS / "index.md"} == listed


def test_every_public_name_is_in_the_reference() -> None:
    documented = {id(thing) for thing in documented_things()}
    missing = [
        f"{module}.{name}"
        for module, names in public_names()
        for name in names
        if id(getattr(importlib.import_module(module), name)) not in documented
    ]
    assert missing == []


def documented_things() -> list[object]:
    """What the pages of the reference list one by one, or as members of a whole module."""
    found: list[object] = []
    for page in sorted((DOCS / "api").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        for module, names in re.findall(
            r"currentmodule:: (\S+)\n\n\.\. autosummary::\n(?:   :.*\n)+\n((?:   \S+\n)+)", text
        ):
            found += [getattr(importlib.import_module(module), name) for name in names.split()]
        for name in re.findall(r"automodule:: (\S+)\n   :members:", text):
            module = importlib.import_module(name)
            found += [thing for thing in vars(module).values() if getattr(thing, "__module__", "") == name]
    return found


def public_names() -> list[tuple[str, list[str]]]:
    """The ``__all__`` of each public module, read without importing it; the command line has no other names."""
    found = []
    for root in (ROOT / "src", ROOT / "adapters"):
        for path in sorted(root.rglob("*.py")):
            module = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
            if "_" in {part[0] for part in module.split(".")} or ".cli" in module:
                continue
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.Assign) and any(getattr(one, "id", "") == "__all__" for one in node.targets):
                    names = [one for one in getattr(node.value, "elts", ()) if isinstance(one, ast.Constant)]
                    found.append((module, [str(one.value) for one in names]))
    return found
