"""``isthmus``: routing of commands, and handling of errors.

Exit status: 0 for success; 2 with one line for a user error; 130 for Ctrl-C; 141 if the reader of a pipe has closed it;
1 with one line for a bug. Never a traceback, unless ``ISTHMUS_DEBUG=1`` is set.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import traceback
import warnings
from collections.abc import Mapping, Sequence
from typing import TextIO

import typer
from rich.console import Group
from rich.text import Text

from isthmus import __version__
from isthmus.cli import builtin, dispatch, index, models, plotting
from isthmus.cli.jobs import batch
from isthmus.cli.output import console, log_on_stderr, printable, status, table
from isthmus.cli.sharing import bench, serving
from isthmus.cli.sharing.agents import mcp
from isthmus.cli.sharing.atlas import atlas
from isthmus.cli.sharing.card import card
from isthmus.cli.sharing.export import export
from isthmus.disk import told_by_system
from isthmus.errors import FewRowsKeptWarning, InputError, IsthmusError, ModelQualityWarning, UnknownIdWarning

OWN: Mapping[str, dispatch.Function] = {
    "adapters": builtin.adapters,
    "models": models.models,
    "info": builtin.info,
    "atlas": atlas,
    "card": card,
    "export": export,
    "mcp": mcp,
    "plot": plotting.plot,
    "batch": batch.batch,
    "serve": serving.serve,
    "bench": bench.bench,
}

PAGE = (
    ("isthmus demo [NAME]", "train on bundled data and show results: interactions, text, images or vectors"),
    ("isthmus fit NAME FILE", "train an adapter's model on a file and save a bundle"),
    ("isthmus store FILES", "sort events of any number into a store on disk, to train from"),
    ("isthmus update DIR FILE", "add new interactions, users and items to a bundle"),
    ("isthmus learn DIR FILE", "learn new interactions exactly (closed forms)"),
    ("isthmus forget DIR", "forget users and items"),
    ("isthmus tune NAME FILE", "search for the best settings of one model"),
    ("isthmus recommend DIR", "recommend items for a user's history"),
    ("isthmus batch TASK DIR FILES", "recommend, score, encode or find anomalies for many Parquet files"),
    ("isthmus similar DIR", "find items similar to an item"),
    ("isthmus explain DIR", "show how the items of a history contribute to a recommendation"),
    ("isthmus items DIR [TEXT]", "find items by title or id"),
    ("isthmus evaluate DIR FILE", "evaluate a bundle on held-out data"),
    ("isthmus calibrate DIR FILE", "learn how likely recommended items are hits"),
    ("isthmus report DIR FILE", "report on a bundle: for whom it is good, and what is wrong with a test"),
    ("isthmus encode DIR FILE", "turn records into codes"),
    ("isthmus decode DIR CODES", "turn codes into texts"),
    ("isthmus reconstruct DIR FILE", "reconstruct records from their codes"),
    ("isthmus denoise IMAGES", "remove noise from photographs; DIR before IMAGES takes a bundle"),
    ("isthmus search DIR TEXT", "find the records whose codes are nearest"),
    ("isthmus sample DIR", "generate new records"),
    ("isthmus anomalies DIR FILE", "score how anomalous records are"),
    ("isthmus units DIR VECTORS --texts FILE", "name the units of a sparse model by the texts that light them"),
    ("isthmus interpolate DIR TEXT TEXT", "interpolate between two records"),
    ("isthmus plot DIR", "plot training curves and a map of codes"),
    ("isthmus serve DIR", "answer over HTTP, and show a page in the browser"),
    ("isthmus bench DIR --http", "measure how fast a bundle is answered over HTTP"),
    ("isthmus index build VECTORS", "index any vectors; then search, add, remove, info, benchmark"),
    ("isthmus info DIR", "describe a bundle"),
    ("isthmus mcp DIR", "offer bundles to agents as tools"),
    ("isthmus atlas DIR", "a large map of codes for Embedding Atlas"),
    ("isthmus export DIR --onnx", "write a model for onnxruntime"),
    ("isthmus card DIR", "print the model card of a bundle, or write it into the bundle"),
    ("isthmus models [NAME]", "list the models of the installed adapters, or explain one and its settings"),
    ("isthmus adapters", "list the installed adapters"),
)
"""The usual commands. An adapter may have others; listing them here would mean importing all adapters."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the arguments; by default those of the process.

    Returns:
        The exit status.
    """
    for stream in (sys.stdout, sys.stderr):
        # Characters that the terminal's encoding does not have are replaced.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        with log_on_stderr(), warnings.catch_warnings():
            # Commands themselves report unknown ids and problems of models.
            warnings.simplefilter("ignore", UnknownIdWarning)
            warnings.simplefilter("ignore", ModelQualityWarning)
            warnings.simplefilter("always", FewRowsKeptWarning)
            warnings.showwarning = _show
            code = _route(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except BaseException as error:
        return _report(error)
    return code


def _show(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning as a line, without the line of the source."""
    status(f"{'warning' if issubclass(category, FewRowsKeptWarning) else category.__name__}: {message}")


_INTERRUPTED = 130
_PIPE_CLOSED = 141


def _route(args: list[str]) -> int:
    if not args or args[0] in (*dispatch.HELP, "help"):
        console().print(_page())
        return 0
    name, rest = args[0], args[1:]
    if name == "--version":
        console().print(f"isthmus {__version__}")
        return 0
    if name.startswith("-"):
        raise InputError(f"no option {name!r}", remedy="see isthmus --help")
    if name in OWN:
        return dispatch.run(OWN[name], f"isthmus {name}", rest)
    if name == "index":
        return dispatch.group(name, index.COMMANDS, rest)
    if name in dispatch.ON_DATA:
        return dispatch.on_data(name, rest)
    if name in dispatch.ALONE:
        return dispatch.alone(name, rest)
    if name == "demo":
        return dispatch.demo(rest)
    return dispatch.verb(name, rest, OWN, index.COMMANDS)


def _page() -> Group:
    return Group(
        Text("isthmus: recommendations and embeddings from interactions, texts, images and tables\n"),
        table(("command", ""), PAGE),
        Text(
            "\nEach command has --help and --json. Bundles of other adapters may have further commands."
            "\nisthmus --version prints the version; ISTHMUS_DEBUG=1 shows tracebacks."
        ),
    )


def _report(error: BaseException) -> int:
    if os.environ.get("ISTHMUS_DEBUG"):
        traceback.print_exception(error)
    if isinstance(error, SystemExit):
        return _exit_code(error)
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return _say("interrupted", getattr(error, "status", _INTERRUPTED))
    if isinstance(error, IsthmusError):
        return _say(error.on_command_line(), 2)
    error = told_by_system(error) or error
    if isinstance(error, BrokenPipeError):
        return _leave_pipe()
    if isinstance(error, OSError):
        where = f": {os.fspath(error.filename)!r}" if error.filename is not None else ""
        return _say(f"{error.strerror or error}{where}", 2)
    if isinstance(error, MemoryError):
        return _say("not enough memory", 1)
    what = f"{type(error).__name__}: {error}"
    return _say(f"internal error: {what} (ISTHMUS_DEBUG=1 shows the traceback; please report it)", 1)


def _say(message: str, code: int) -> int:
    with contextlib.suppress(BrokenPipeError):
        status(f"isthmus: {printable(message)}")
    return code


def _exit_code(error: SystemExit) -> int:
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    return _say(str(error.code), 1)


def _leave_pipe() -> int:
    # Python flushes standard output once more at exit, so it must have somewhere to go.
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return _PIPE_CLOSED
