"""The results as pages: rendered from the committed lines, never typed.

``docs/results.md`` has the table of every benchmark, the README the few numbers of ``headlines.py``.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.catalogue import MODULES, benchmark, question
from benchmarks.harness import DAGGER, Line, kept, processor_kind
from benchmarks.headlines import headlines

ROOT = Path(__file__).parents[1]
README, PAGE = ROOT / "README.md", ROOT / "docs" / "results.md"
START, END = "<!-- headlines: python -m benchmarks tables --write -->", "<!-- /headlines -->"
SUBJECTS = {
    "recommendation": "Recommendation",
    "text": "Text",
    "images": "Images",
    "vectors": "Vectors",
    "index": "The index",
    "training": "Training",
    "gpu": "On a GPU",
    "kinds": "The five kinds",
    "faults": "Faults",
}
UNTRIED = """
None of these lines comes from a GPU, so that nothing is claimed for one; `benchmarks/gpu/run.sh` measures there.
"""
HEAD = f"""# Results

<!-- Generated: python -m benchmarks tables --write -->

All figures come from committed lines of `benchmarks/results`, which record the commit, the machine, the versions
and the settings. `python -m benchmarks NAME` repeats a measurement; `--smoke` runs it on tiny data.

A {DAGGER} marks a figure whose line was recorded while the working tree differed from its commit, so that the named
commit is not exactly what ran. Such lines are no longer recorded, and a clean line replaces them where there is one.

Speed depends on the kind of processor, above all on how it multiplies bf16. Lines come from Intel Xeon with AMX unless
other processors are named under a title. On another kind, the same commands add lines of it.
"""


def command(
    write: Annotated[bool, typer.Option("--write", help="Write docs/results.md and the table of the README.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 where they say something else.")] = False,
) -> None:
    """Show what was measured."""
    wanted = {PAGE: page(), README: readme()}
    if write:
        for path, text in wanted.items():
            path.write_text(text, encoding="utf-8")
    elif check:
        differing = stale(wanted)
        if differing:
            print(f"{', '.join(differing)}: run python -m benchmarks tables --write", file=sys.stderr)
            raise typer.Exit(1)
    else:
        print(wanted[PAGE])


def stale(wanted: dict[Path, str] | None = None) -> list[str]:
    """The names of the pages that are not what is generated."""
    pages = wanted or {PAGE: page(), README: readme()}
    return [path.name for path, text in pages.items() if path.read_text(encoding="utf-8") != text]


def page() -> str:
    """The whole of ``docs/results.md``."""
    parts, subject = [HEAD if kept("gpu") else HEAD + UNTRIED], ""
    for name, module in MODULES.items():
        rows = benchmark(name).table(kept(name))
        if not rows:
            continue
        if module.split(".")[0] != subject:
            subject = module.split(".")[0]
            parts.append(f"## {SUBJECTS[subject]}\n")
        parts += [f"### {benchmark(name).TITLE}\n", f"{question(name)} `python -m benchmarks {name}`{_others(name)}\n"]
        parts.append("\n".join(rows).strip() + "\n")
    return "\n".join(parts)


def _others(name: str) -> str:
    """The processors of a benchmark's lines, if they are not all of the usual kind."""
    cpus = _processors(kept(name))
    return f" Measured on {' and '.join(cpus)}." if any(not cpu.endswith("(AMX)") for cpu in cpus) else ""


def _processors(lines: Sequence[Line]) -> list[str]:
    """Names and kinds of processors, that of most lines first."""
    return [name for name, _ in Counter(f"{x['device']['cpu']} ({processor_kind(x)})" for x in lines).most_common()]


def readme() -> str:
    """The README with the table of this moment."""
    text = README.read_text(encoding="utf-8")
    before, after = text[: text.index(START)], text[text.index(END) :]
    return f"{before}{START}\n\n" + "\n".join([_machines(), "", *headlines()]) + f"\n\n{after}"


def _machines() -> str:
    """Where most of the lines come from."""
    lines: list[Line] = [line for name in MODULES for line in kept(name)]
    cores = sorted({line["device"]["cores"] for line in lines})
    torch = sorted({line["versions"]["torch"] for line in lines})
    return (
        f"Measured on {' and '.join(_processors(lines))}, virtual machines with "
        f"{' or '.join(map(str, cores))} cores, PyTorch {', '.join(torch)}; speeds hold for the kind that they name:"
    )
