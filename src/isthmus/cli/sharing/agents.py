"""``isthmus mcp``: bundles as tools of agents."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Annotated

import typer

from isthmus.bundle.manifest import peek
from isthmus.cli.options import DeviceName
from isthmus.cli.output import status
from isthmus.errors import MissingLibraryError

EXTRA = "mcp"


def mcp(
    directories: Annotated[list[str], typer.Argument(metavar="DIR...", help="Saved bundles: DIR, or NAME=DIR.")],
    device: DeviceName = "cpu",
) -> None:
    """Offer bundles to agents as tools, by the Model Context Protocol over standard input and output.

    The agent starts this command and ends it. No tool trains or changes a model.
    """
    if find_spec("mcp") is None:
        raise MissingLibraryError("isthmus mcp without mcp", remedy=f'pip install "isthmus[{EXTRA}]"')
    from isthmus.agents.stdio import run
    from isthmus.agents.tools import Toolbox
    from isthmus.serve.opened import open_bundle, places

    found = places(directories)
    for place in found:
        peek(place.path)

    @cache
    def toolbox() -> Toolbox:
        made = Toolbox([open_bundle(place, device=device, extra=EXTRA) for place in found])
        status(f"tools: {', '.join(tool.name for tool in made.tools())}")
        return made

    run(toolbox)
