"""How a server behaves: one object, with defaults for one machine."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from isthmus.actions.requests import Limits

TOKEN = "ISTHMUS_TOKEN"
"""The variable of the environment that may hold a token, which requests must then carry."""


@dataclass(frozen=True)
class ServerSettings:
    """How a server behaves.

    Attributes:
        host: address to listen on.
        port: 0 takes a free one.
        limits: the most that one request may ask for.
        body: bytes of a request.
        window: seconds that a request waits for others, to be answered together.
        together: requests that are answered together at most.
        queue: requests that may wait for each model; more are refused.
        token: what requests must carry as ``Authorization: Bearer``; None for nothing.
        names: further names of this server, in the ``Host`` of requests to a loopback address.
        reload_over_http: whether ``POST /v1/reload`` loads the bundles again.
        page: whether the page is served.
        patience: seconds that a body may take to arrive, and requests to be answered when the server stops.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    limits: Limits = field(default_factory=Limits)
    body: int = 8 << 20
    window: float = 0.003
    together: int = 64
    queue: int = 256
    token: str | None = None
    names: tuple[str, ...] = ()
    reload_over_http: bool = False
    page: bool = True
    patience: float = 20.0

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False
