"""A server of the Model Context Protocol that speaks over standard input and output."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp_types import CallToolResult, ListToolsResult, TextContent, Tool, ToolAnnotations

from isthmus import __version__
from isthmus.agents.tools import Toolbox
from isthmus.errors import IsthmusError

HINTS = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)


def server_of(toolbox: Callable[[], Toolbox]) -> Server[Any]:
    """A server with the tools of a toolbox.

    Args:
        toolbox: returns the tools, the same ones each time. It is first called when somebody asks for them, so that
            loading models does not delay the greeting, for which clients wait a few seconds.

    Returns:
        The server that ``run`` serves; tests connect to it in the same process.
    """
    # Models answer one after the other: each uses all cores.
    one_at_a_time = anyio.CapacityLimiter(1)

    async def listed(context: Any, request: Any) -> ListToolsResult:
        found = (await anyio.to_thread.run_sync(toolbox, limiter=one_at_a_time)).tools()
        return ListToolsResult(
            tools=[
                Tool(name=tool.name, description=tool.about, input_schema=dict(tool.schema), annotations=HINTS)
                for tool in found
            ]
        )

    def answer(request: Any) -> dict[str, Any]:
        return toolbox().call(request.name, request.arguments)

    async def called(context: Any, request: Any) -> CallToolResult:
        try:
            document = await anyio.to_thread.run_sync(answer, request, limiter=one_at_a_time)
        except IsthmusError as error:
            return CallToolResult(content=[TextContent(type="text", text=str(error))], is_error=True)
        text = json.dumps(document, ensure_ascii=False)
        return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=document)

    return Server("isthmus", version=__version__, on_list_tools=listed, on_call_tool=called)


def run(toolbox: Callable[[], Toolbox]) -> None:
    """Serve until the client closes the connection.

    Args:
        toolbox: returns the tools, see ``server_of``.
    """
    anyio.run(_speak, server_of(toolbox))


async def _speak(server: Server[Any]) -> None:
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())
