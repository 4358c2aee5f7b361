"""Options that the commands of several adapters share, and parsing of their values."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from isthmus.disk import check_new_file, is_stream
from isthmus.errors import InputError, SettingError

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="A saved bundle.")]
ResultCount = Annotated[int, typer.Option("-k", "--k", min=1, help="How many results.")]
ResultCountOrAll = Annotated[int | None, typer.Option("-k", "--k", min=1, help="How many results [all].")]
Allow = Annotated[
    list[str] | None,
    typer.Option("--allow", help="Return only these ids (or a JSON array, or @FILE); may be repeated."),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", help="Do not return these ids (or a JSON array, or @FILE); may be repeated."),
]
SampleCount = Annotated[int, typer.Option("-n", "--n", min=1, help="How many to generate.")]
StepCount = Annotated[int, typer.Option(min=2, help="Number of steps, including both ends.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same result.")]
DeviceName = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.")]
Deterministic = Annotated[
    bool, typer.Option("--deterministic", help="On a GPU, refuse operations that give other bits in every run.")
]
PrecisionName = Annotated[str, typer.Option("--precision", help="auto, fp32 or bf16.")]
Contamination = Annotated[float, typer.Option(help="Share of normal records that may be flagged as anomalies.")]
NoIndex = Annotated[bool, typer.Option("--no-index", help="Do not keep the codes for search; the bundle is smaller.")]
Within = Annotated[str | None, typer.Option("--in", help="Search this file instead of the training records.")]
PriorName = Annotated[
    str, typer.Option("--prior", help="fitted: codes like those of the training records; standard: the model's own.")
]
ImportanceSamples = Annotated[
    int,
    typer.Option(
        "--samples", min=0, help="Importance samples for a tighter bound of the likelihood; 500 is usual, 0 for none."
    ),
]
CodesFile = Annotated[Path | None, typer.Option("--out", help="A new .npy file for the codes, float32.")]
AllFlagged = Annotated[bool, typer.Option("--all", help="Show all records in their order, flagged or not.")]

Encoding = Annotated[str | None, typer.Option("--encoding", help="Of the file, such as utf-8 or latin-1 [found out].")]
Delimiter = Annotated[
    str | None, typer.Option("--delimiter", help="Between columns: a sign, :: or tab, space, ... [found out].")
]
Header = Annotated[
    bool | None,
    typer.Option(
        "--header/--no-header", help="Whether the first line has names; else columns are 1, 2, ... [found out]."
    ),
]

Shards = Annotated[
    str | None,
    typer.Option(
        "--shards",
        help="How the processes that torchrun started share the work. rows: each has some rows of the item tables, "
        "for large catalogues; batches: each computes a part of every batch.",
    ),
]
Groups = Annotated[
    int,
    typer.Option(
        "--groups",
        min=1,
        help="With --shards rows: groups of processes that each have all rows, and compute a part of every batch.",
    ),
]
TimeLimit = Annotated[str | None, typer.Option(help="Time limit of the training, such as 90s, 10m or 2h.")]


def parsed_duration(text: str) -> float:
    """Parse ``90s``, ``10m``, ``1.5h``, or a number of seconds.

    Raises:
        SettingError: not a positive duration.
    """
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    try:
        seconds = float(number) * _UNITS[unit]
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise SettingError(f"a time of {text!r}", expected="seconds, minutes or hours, such as 90s, 10m or 2h")
    return seconds


_UNITS = {"s": 1, "m": 60, "h": 3600}


def parsed_settings(pairs: list[str]) -> dict[str, Any]:
    """Parse ``name=value`` pairs; values are JSON, or otherwise text.

    Raises:
        SettingError: a pair without an equals sign.
    """
    settings: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise SettingError(f"--setting {pair!r}", expected="NAME=VALUE, as in --setting code=100")
        try:
            settings[name.replace("-", "_")] = json.loads(value)
        except ValueError:
            settings[name.replace("-", "_")] = value
    return settings


def check_out_file(path: Path | None, endings: Sequence[str] = (), instead: str = "") -> None:
    """Refuse a place where no new file can be written; what is there already is never overwritten.

    Args:
        path: of the file; None for none.
        endings: that its name may have; none for any.
        instead: what else may be written, for messages.

    Raises:
        InputError: something stands there, there is no directory to hold it or nothing may be written in it, or a
            name with another ending.
    """
    if path is None:
        return
    check_new_file(path)
    if endings:
        check_ending(path, endings, instead)


def check_ending(path: Path, endings: Sequence[str], instead: str = "") -> None:
    """Refuse a name that does not end as it should; a stream may be called anything.

    Args:
        path: of the file.
        endings: that its name may have.
        instead: what else may be written, for messages.

    Raises:
        InputError: another ending.
    """
    if path.suffix.lower() not in endings and not is_stream(path):
        allowed = [f"a name that ends in {' or '.join(endings)}", *([instead] if instead else [])]
        given = f"{str(path)!r} has the ending {path.suffix!r}" if path.suffix else f"{str(path)!r} has no ending"
        raise InputError(given, expected=" or ".join(allowed))
