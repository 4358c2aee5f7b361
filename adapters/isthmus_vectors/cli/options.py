"""Options that several commands share, and writing of numbers to files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import typer

from isthmus.cli.options import check_out_file
from isthmus.disk import written
from isthmus.errors import InputError

Source = Annotated[Path, typer.Argument(metavar="FILE", help="Numbers: .csv, .tsv, .parquet, .npy or .npz (sparse).")]
Columns = Annotated[list[str] | None, typer.Option("--columns", help="A column to use; may be repeated [all].")]
Drop = Annotated[list[str] | None, typer.Option(help="A column to leave out; may be repeated.")]
OutFile = Annotated[Path | None, typer.Option(help="A new .npy, .csv or .parquet file for the numbers.")]

ENDINGS = (".npy", ".csv", ".parquet")


def check_out(out: Path | None, as_json: bool) -> None:
    """Check, before any work is done, that an output file is given if needed and can be written.

    Raises:
        InputError: no file although one is needed, an existing file, or an unknown suffix.
    """
    if out is None:
        if not as_json:
            raise InputError("no file for the numbers", remedy="add --out FILE.npy, or --json to print them")
        return
    check_out_file(out, ENDINGS)


def write_numbers(out: Path, numbers: npt.NDArray[Any], columns: tuple[str, ...] | None = None) -> None:
    """Write an array, completely or not at all.

    Args:
        out: its ending says how, one of ``ENDINGS``.
        numbers: of shape (rows, width).
        columns: names; without them they are called f0, f1, ...

    Raises:
        InputError: the path is not writable.
        OSError: for example a full disk.
    """
    if out.suffix.lower() == ".npy":
        with written(out) as file:
            np.save(file, numbers, allow_pickle=False)
        return
    names = columns or tuple(f"f{place}" for place in range(numbers.shape[1]))
    table = pa.table([pa.array(np.ascontiguousarray(column)) for column in numbers.T], names=list(names))
    with written(out) as file:
        if out.suffix.lower() == ".parquet":
            pq.write_table(table, file)
        else:
            pacsv.write_csv(table, file)
