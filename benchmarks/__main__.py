"""``python -m benchmarks NAME [--smoke]`` measures, ``python -m benchmarks tables`` shows what was measured."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from benchmarks import tables
from benchmarks.catalogue import MODULES, benchmark, question
from isthmus.cli import dispatch
from isthmus.errors import IsthmusError

USAGE = """python -m benchmarks NAME [--smoke] ...   measure; a clean working tree appends to benchmarks/results
python -m benchmarks NAME --help          what can be chosen
python -m benchmarks tables               print docs/results.md; --write writes it, --check compares
"""


def main(args: Sequence[str]) -> int:
    """The exit status."""
    if not args or args[0] in dispatch.HELP:
        print(USAGE)
        print("\n".join(f"{name:24}{question(name)}" for name in MODULES))
        return 0
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("faiss").setLevel(logging.WARNING)
    try:
        function = tables.command if args[0] == "tables" else _function(args[0])
        return dispatch.run(function, f"python -m benchmarks {args[0]}", args[1:])
    except IsthmusError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _function(name: str) -> dispatch.Function:
    module = benchmark(name)
    module.run.__doc__ = module.__doc__
    return module.run  # type: ignore[return-value]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
