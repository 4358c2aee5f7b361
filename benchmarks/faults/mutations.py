"""Spoilt bundles, indexes, checkpoints and input files: what becomes of reading them.

Each mutation flips, cuts, splices or doubles bytes, edits numbers in headers and JSON, swaps files of bundles or puts
something else in the place of a file; half of the bundles get digests that fit their spoilt files, so that what is
behind the digests is tried too. Reading must end with the answers of before or with a typed error: never with a crash,
a hang, MemoryError or another exception, and, where the digests are the old ones, never with other answers.
"""

from __future__ import annotations

import logging
import random
import shutil
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from benchmarks.faults import artefacts, spoil
from benchmarks.faults.artefacts import Artefact
from benchmarks.faults.checkpoints import checkpoints
from benchmarks.faults.children import Outcome, TooLong, outcomes
from benchmarks.harness import Line, Results, Smoke, mark, markdown, newest
from isthmus.errors import IsthmusError

NAME = "faults"
TITLE = "Faults"

SORTS = ("bundles", "checkpoints", "inputs")

WRONG = ("crash", "hang", "untyped", "silent")
"""What must never happen; ``silent`` are other answers under the old digests."""


@dataclass(frozen=True)
class Trial:
    """Mutations of one sort of artefacts.

    Attributes:
        made: what is spoilt.
        known: the digest of the answers of each.
        scratch: where copies are spoilt.
        seed: of the mutations.
    """

    made: Sequence[Artefact]
    known: Sequence[str]
    scratch: Path
    seed: int

    def one(self, number: int) -> Outcome:
        """Spoil a copy and read it."""
        chance = random.Random(f"{self.seed} {number}")
        row = chance.randrange(len(self.made))
        own, renewed = self.made[row], bool(number % 2)
        place = self.scratch / f"{number % 64}" / own.path.name
        shutil.rmtree(place.parent, ignore_errors=True)
        place.parent.mkdir()
        if own.is_folder:
            shutil.copytree(own.path, place)
            what = spoil.spoil_folder(place, [other.path for other in self.made], chance)
            # The manifest of another index over the same vectors makes this that other index: its digests fit.
            swapped = what.startswith("manifest.json: ")
            bundle = place / what.partition("/")[0] if own.holds_bundles else place
            renewed = swapped or (renewed and spoil.stamped_again(bundle))
        else:
            place.write_bytes(spoil.spoiled(own.path.read_bytes(), chance))
            what, renewed = "spoilt", True
        told = {"number": number, "artefact": own.path.name, "what": what, "renewed": renewed}
        return told | _read(own, place, self.known[row], renewed)


def _read(own: Artefact, place: Path, known: str, renewed: bool) -> Outcome:
    try:
        found = own.ask(place)
    except IsthmusError as error:
        return {"outcome": "refused", "error": f"{type(error).__name__}: {error}"[:300]}
    except BaseException as error:  # whatever it is, it should not have been
        what = "hang" if isinstance(error, TooLong) else "untyped"
        return {"outcome": what, "error": f"{type(error).__name__}: {error}"[:300], "at": _innermost(error)}
    if found == known:
        return {"outcome": "same"}
    return {"outcome": "other" if renewed else "silent"}


def _innermost(error: BaseException) -> str:
    """The last line of isthmus that was under way."""
    at, trace = "", error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if "isthmus" in name:
            at = f"{Path(name).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return at


def mutate(sort: str, mutations: int, seed: int, *, small: bool = False, limit: float = 30.0) -> Iterator[Outcome]:
    """What becomes of mutations, one after the other.

    Args:
        sort: "bundles", "checkpoints" or "inputs".
        mutations: how many.
        seed: of all that is drawn.
        small: few artefacts, for a look.
        limit: seconds that one may take.
    """
    torch.set_num_threads(1)
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
            warnings.simplefilter("ignore")
            originals, scratch = Path(folder) / "originals", Path(folder) / "scratch"
            originals.mkdir()
            scratch.mkdir()
            made = _made(sort, originals, small)
            # Twice, so that everything is imported and no first call is timed; and the same answers come again.
            known = [own.ask(own.path) for own in made]
            steady = [one for one, digest in zip(made, known, strict=True) if one.ask(one.path) == digest]
            assert len(steady) == len(made), "answers that differ from call to call"
            yield from outcomes(mutations, Trial(made, known, scratch, seed).one, limit=limit)
    finally:
        logging.disable(logging.NOTSET)


def _made(sort: str, folder: Path, small: bool) -> list[Artefact]:
    match sort:
        case "bundles":
            return artefacts.bundles(folder, small=small)
        case "checkpoints":
            return checkpoints(folder)
    return artefacts.inputs(folder)


def counted(found: Sequence[Outcome]) -> dict[str, int]:
    """How often which outcome."""
    return dict(Counter(one["outcome"] for one in found))


def run(
    smoke: Smoke = False,
    mutations: Annotated[int, typer.Option(help="Of each sort.")] = 2_000,
    seed: int = 0,
    sort: Annotated[list[str] | None, typer.Option(help="bundles, checkpoints or inputs; all by default.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Print what should not have happened.")] = False,
) -> list[Line]:
    """Spoil and read."""
    results = Results(NAME, smoke=smoke)
    for one in sort or SORTS:
        found = []
        for told in mutate(one, 40 if smoke else mutations, seed, small=smoke):
            found.append(told)
            if show and told["outcome"] in WRONG:
                print(told, flush=True)
        wrong = [told for told in found if told["outcome"] in WRONG][:50]
        results.add(question=f"mutated {one}", mutations=len(found), seed=seed, outcomes=counted(found), wrong=wrong)
    return results.made


def table(lines: Sequence[Line]) -> list[str]:
    """How often which outcome."""
    kept = newest([line for line in lines if "mutations" in line], lambda line: line["question"])
    head = ["what", "mutations", "answers as before", "refused", "other answers, new digests", *WRONG]
    rows: list[list[Any]] = []
    for line in kept:
        own = line["outcomes"]
        counts = [f"{own.get(name, 0):,}" for name in ("same", "refused", "other", *WRONG)]
        rows.append([f"{line['question']}{mark(line)}", f"{line['mutations']:,}", *counts])
    return markdown(head, rows) if rows else []
