"""``PYTHONPATH=tests/support:src:adapters python -m device_cases`` prints which verbs of which models tests/device asks
on the pretend device; with ``--run`` it asks them, which takes minutes, and prints what they answered."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from device_cases.comparing import EQUAL
from device_cases.server import Server

Table = Mapping[str, Mapping[str, str]]
"""By builder: by verb, what is shown of it."""


def cases() -> dict[str, list[str]]:
    """The builders of each domain."""
    from device_cases import autoencoders, recommenders

    return {"interactions": sorted(recommenders.SETTINGS), **autoencoders.BUILDERS}


def asked(domain: str, builder: str) -> dict[str, str]:
    """The verbs that are asked of a builder."""
    from device_cases import autoencoders, recommenders

    if domain == "interactions":
        return dict.fromkeys(recommenders.asked_of(builder), "x")
    return dict.fromkeys(autoencoders.asked_of(domain, builder), "x")


def answered(server: Server, domain: str, builder: str) -> dict[str, str]:
    """``=`` where the answer is that of the CPU, otherwise what is different."""
    module, place = ("recommenders", ()) if domain == "interactions" else ("autoencoders", (domain,))
    found: dict[str, str] = server(module, "check", *place, builder)
    return {verb: "=" if answer == EQUAL else answer for verb, answer in found.items()}


def printed(domain: str, rows: Table) -> str:
    """A table in Markdown."""
    verbs = list(dict.fromkeys(verb for row in rows.values() for verb in row))
    lines = [f"\n{domain}\n", "| builder | " + " | ".join(verbs) + " |", "|" + "---|" * (len(verbs) + 1)]
    lines += [
        f"| {builder} | " + " | ".join(row.get(verb, "") for verb in verbs) + " |" for builder, row in rows.items()
    ]
    return "\n".join(lines)


def main(run: bool) -> None:
    server = Server()
    for domain, builders in cases().items():
        rows = {name: answered(server, domain, name) if run else asked(domain, name) for name in builders}
        print(printed(domain, rows), flush=True)
    server.close()


if __name__ == "__main__":
    main("--run" in sys.argv[1:])
