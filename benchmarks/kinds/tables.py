"""The table of the five kinds in four domains."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.harness import Line, mark, markdown, newest

KINDS = ("vanilla", "variational", "denoising", "sparse", "contractive")
DOMAINS = ("interactions", "text", "images", "vectors")


def _vanilla(own: Line, _: Line | None) -> str:
    saved = own["nll_one_code"] - own["nll"]
    return f"**{saved:.1f}** nats saved of {own['nll_one_code']:.1f}"


def _variational(own: Line, vanilla: Line | None) -> str:
    beside = f" ({vanilla['bound']:.1f}, {vanilla['rate']:.1f})" if vanilla else ""
    return f"**{own['bound']:.1f}** nats, rate {own['rate']:.1f}{beside}"


def _denoising(own: Line, vanilla: Line | None) -> str:
    beside = f" ({vanilla['noisy_nll']:.1f})" if vanilla else ""
    return f"**{own['noisy_nll']:.1f}** nats{beside}"


def _sparse(own: Line, vanilla: Line | None) -> str:
    units = f"**{own['active']:.1f}** of {own['settings']['code']}, {own['dead']:.1%} dead, {own['nll']:.1f} nats"
    return units + (
        f" ({vanilla['active']:.0f} of {vanilla['settings']['code']}, {vanilla['nll']:.1f})" if vanilla else ""
    )


def _contractive(own: Line, vanilla: Line | None) -> str:
    beside = f" ({vanilla['jacobian_scaled']:.3g}; {vanilla['jacobian']:.3g})" if vanilla else ""
    return f"**{own['jacobian_scaled']:.3g}**; {own['jacobian']:.3g}{beside}"


CELL: dict[str, Callable[[Line, Line | None], str]] = {
    "vanilla": _vanilla,
    "variational": _variational,
    "denoising": _denoising,
    "sparse": _sparse,
    "contractive": _contractive,
}


def five_kinds(lines: Sequence[Line]) -> list[str]:
    """A row a kind, a column a domain."""
    known = newest(lines, lambda line: (line["kind"], line["domain"]))
    found = {(line["kind"], line["domain"]): line for line in known}
    data = {line["domain"]: f"{line['data']} ({line['train_rows']:,})" for line in known}
    told = (
        "Each kind's own number, and in brackets that of the vanilla model of the same domain; on rows held out, nats "
        "a row. Vanilla: what the code saves against one code for all rows. Variational: the bound on −log p and the "
        "rate (a vanilla model's with the best normal prior and spread put on its codes afterwards). Denoising: the "
        "whole row told from a damaged one. Sparse: units that a row uses, the share that no row uses, and nats. "
        "Contractive: the squared norm of the code's derivative over the variance of the codes; and plain. Any cell: "
        "`python -m benchmarks kinds --cell KIND:DOMAIN`."
    )
    rows = [[kind, *(_cell(found, kind, domain) for domain in DOMAINS)] for kind in KINDS]
    head = ["kind", *(f"{domain}: {data.get(domain, chr(8211))}" for domain in DOMAINS)]
    return [told, "", *markdown(head, rows)] if known else []


def _cell(found: dict[tuple[str, str], Line], kind: str, domain: str) -> str:
    own, vanilla = found.get((kind, domain)), found.get(("vanilla", domain))
    return "not run" if own is None else CELL[kind](own, vanilla) + mark(own, vanilla)
