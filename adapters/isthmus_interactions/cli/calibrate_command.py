"""The command ``isthmus calibrate``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.text import Text

from isthmus import bundle
from isthmus.cli.options import Delimiter, Directory, Encoding, Header, Seed
from isthmus.cli.output import Json, emit, printable
from isthmus.reprs import counted
from isthmus_interactions.cli.options import (
    Data,
    HiddenShare,
    ItemColumn,
    Keep,
    Ordered,
    SplitName,
    TimeColumn,
    UserColumn,
    ValueColumn,
)
from isthmus_interactions.files.reading import Reading, with_order
from isthmus_interactions.recommender import Recommender


def calibrate(
    directory: Directory,
    file: Data,
    out: Annotated[Path | None, typer.Option(help="Where to save the bundle with chances [DIR itself].")] = None,
    user: UserColumn = None,
    item: ItemColumn = None,
    value: ValueColumn = None,
    time: TimeColumn = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    header: Header = None,
    keep: Keep = None,
    ordered: Ordered = False,
    split: SplitName = None,
    hide: HiddenShare = 0.2,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Learn the chances of hits from users the bundle was not trained on, for recommend --calibrated."""
    target = directory if out is None else out
    bundle.check_target(target)
    told: Reading = {"user": user, "item": item, "value": value, "time": time, "keep": keep}
    told |= {"encoding": encoding, "delimiter": delimiter, "header": header}
    reading = with_order(told, ordered)
    made = Recommender.load(directory).calibrate(file, split=split, hide=hide, seed=seed, **reading)
    made.save(target)
    assert made.calibration is not None
    document: dict[str, Any] = {"path": str(target), **asdict(made.calibration.seen)}
    lines = [
        f"learnt from {counted(document['users'], 'user')} with {counted(document['hits'], 'hit')}",
        f"a hit: {document['hit']}",
        f"saved to {target}",
    ]
    emit(document, as_json, lambda: Group(*(Text(printable(line)) for line in lines)))
