"""One operation with a fault at each of its calls to the file system: ``python fault_driver.py OPERATION FOLDER EACH``.

Runs with ``faulty_disk.c`` preloaded. Each attempt is a forked child, in which one call fails or the process is killed;
afterwards this process looks at what is there. Printed is a JSON document: how many calls the operation makes, how many
attempts of each sort there were, and what was wrong.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from planted import planted

from isthmus.index import Index
from isthmus.training.run import Run, Validation
from isthmus_interactions import Recommender

KILL = -9
ACTIONS = {"kill": KILL, "ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EACCES": errno.EACCES}
DONE, FAILED, STRANGE = 0, 3, 4
"""How a child ends: done, an error of the system under its own name, another error."""

shim = ctypes.CDLL(None)
Answers = Any


@dataclass
class Operation:
    """What is done, and what may be there afterwards.

    Attributes:
        folder: that faults are confined to; ``place`` is in it.
        place: what the operation writes.
        prepare: puts the old content there.
        work: the operation.
        look: what is there now; raises where it is not whole.
        right: what ``look`` may find after a fault.
        again: the operation without a fault, after which nothing else than ``place`` is in the folder.
    """

    folder: Path
    place: Path
    prepare: Callable[[], object]
    work: Callable[[], object]
    look: Callable[[], Answers]
    right: list[Answers] = field(default_factory=list)
    again: Callable[[], object] | None = None


def ask(path: Path) -> Answers:
    answers = Recommender.load(path).recommend_users([1000, 1001, 1002], 4)
    return [[answer.ids, np.round(answer.scores, 4).tolist()] for answer in answers]


def missing_or(look: Callable[[Path], Answers]) -> Callable[[Path], Answers]:
    return lambda path: look(path) if os.path.lexists(path) else None


def model(seed: int) -> Recommender:
    return Recommender.fit(planted(40, seed), model="ease", regularisation=5.0, progress=False)


def save(folder: Path) -> Operation:
    old, new, place = model(0), model(1), folder / "a"
    return Operation(folder, place, lambda: old.save(place), lambda: new.save(place), lambda: ask(place))


def first_save(folder: Path) -> Operation:
    made, place = model(0), folder / "a"
    return Operation(folder, place, lambda: None, lambda: made.save(place), lambda: missing_or(ask)(place))


def update(folder: Path) -> Operation:
    old, place, more = model(0), folder / "a", planted(44, 1)
    return Operation(
        folder,
        place,
        lambda: old.save(place),
        lambda: Recommender.load(place).update(more, progress=False).save(place),
        lambda: ask(place),
    )


def index(folder: Path) -> Operation:
    place, generator = folder / "a", torch.Generator().manual_seed(0)
    old, new = (Index.build(torch.randn(60, 4, generator=generator)) for _ in range(2))
    queries = torch.randn(3, 4, generator=generator)
    return Operation(
        folder,
        place,
        lambda: old.save(place),
        lambda: new.save(place),
        lambda: np.round(Index.load(place).search(queries, 3).scores, 4).tolist(),
    )


def export(folder: Path) -> Operation:
    place = folder / "a.npy"
    old, new = (Index.build(np.full((50, 3), value)) for value in (1.0, 2.0))
    return Operation(
        folder, place, lambda: old.export(place), lambda: new.export(place), lambda: np.load(place)[:, 0].tolist()
    )


def answers(folder: Path) -> Operation:
    place, old, new = folder / "a.parquet", model(0), model(1)

    def look() -> Answers:
        import pyarrow.parquet as pq

        return pq.read_table(place).column("item").to_pylist()

    return Operation(folder, place, lambda: old.recommend_all(place), lambda: new.recommend_all(place), look)


def training(folder: Path) -> Operation:
    """What is there afterwards is looked at by going on: the end is that of a training without a fault."""
    from isthmus.batch import Bag
    from isthmus.models import mult_vae
    from isthmus.sources import BagSource

    source, place = BagSource.from_csr(planted(40).matrix), folder / "a"

    def train(resume: bool) -> Answers:
        made = mult_vae(Bag(24), generator=Run(seed=7).generator(), code=2, hidden=4, batch_size=40, epochs=4)
        # The second epoch is better than the third: checkpoints of later ones need its weights.
        scores = {1: 1.0, 2: 3.0, 3: 2.0, 4: 4.0}
        known = Validation("known", lambda model: scores[epoch_of(place)])
        history = made.fit(source, Run(device="cpu", seed=3, checkpoints=place, every=1, resume=resume), known)
        return [history.best_epoch, *(tensor.sum().item() for tensor in made.model.state_dict().values())]

    return Operation(folder, place, lambda: None, lambda: train(False), lambda: train(True))


def epoch_of(place: Path) -> int:
    """The epoch that is being scored: one more than the last checkpoint."""
    return 1 + max((int(path.name[-6:]) for path in place.glob("epoch-??????")), default=0)


OPERATIONS = {
    "save": save,
    "first": first_save,
    "update": update,
    "index": index,
    "export": export,
    "answers": answers,
    "training": training,
}


def forked(work: Callable[[], object], arm: tuple[Path, int, int] | None = None) -> tuple[int, str]:
    """Do it in a child: its exit status, 128 and more for a signal, and what it says."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        status, said = DONE, ""
        try:
            if arm:
                shim.fault_arm(os.fsencode(arm[0]), ctypes.c_long(arm[1]), ctypes.c_int(arm[2]))
            work()
            shim.fault_disarm()
            said = str(shim.fault_count())
        except BaseException as error:
            shim.fault_disarm()
            wanted = isinstance(error, OSError) and error.errno == (arm or (0, 0, None))[2] and error.filename
            status = FAILED if wanted else STRANGE
            said = "".join(traceback.format_exception(error))[-1500:]
        os.write(writing, said.encode())
        os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    return (128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)), said


def main(name: str, folder: Path, most: int) -> dict[str, Any]:
    """Attempts at ``most`` calls for each action, evenly spaced over all of them."""
    folder.mkdir()
    operation = OPERATIONS[name](folder)
    operation.prepare()
    old = None if name == "training" else operation.look()
    status, said = forked(operation.work, (folder, 0, 0))
    assert status == DONE, said
    new, calls = operation.look(), int(said)
    right = [new] if name == "training" else [old, new]
    outcomes: Counter[str] = Counter()
    wrong: list[str] = []
    for action, number in ACTIONS.items():
        for at in sorted({1 + round(one) for one in np.linspace(0, calls - 1, min(most, calls))}):
            shutil.rmtree(folder)
            folder.mkdir()
            operation.prepare()
            status, said = forked(operation.work, (folder, at, number))
            outcomes[f"{action}: {'killed' if status == 137 else ('done', '', '', 'failed', 'strange')[status]}"] += 1
            if status not in (DONE, FAILED, 137):
                wrong.append(f"{action} at {at}: {said}")
            wrong += [f"{action} at {at}: {what}" for what in after(operation, right)]
    return {"calls": calls, "outcomes": outcomes, "wrong": wrong}


def after(operation: Operation, right: list[Answers]) -> list[str]:
    """What is not as it should be after a fault."""
    found: list[str] = []

    def look() -> None:
        assert operation.look() in right, "another content"

    def again() -> None:
        operation.work()

    for step in (look,) if len(right) == 1 else (look, again, look):
        status, said = forked(step)
        if status != DONE:
            found.append(f"{step.__name__}: {said}")
    left = sorted({path.name for path in operation.folder.iterdir()} - {operation.place.name})
    inside = [path.name for path in operation.place.iterdir()] if operation.place.is_dir() else []
    left += [name for name in inside if name.startswith(".")]
    return found + ([f"left over: {left}"] if left else [])


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))))
