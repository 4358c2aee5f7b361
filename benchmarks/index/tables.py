"""The tables on the index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.harness import Line, mark, markdown, newest

TARGETS = (0.8, 0.9, 0.95, 0.99)
SIDES = {"faiss-ivf": "FAISS IVF", "faiss-hnsw": "FAISS HNSW", "hnswlib": "hnswlib", "usearch": "usearch",
         "implicit": "implicit's wrapper", "faiss-flat": "FAISS Flat"}  # fmt: skip


def recall(lines: Sequence[Line]) -> list[str]:
    """Queries per second at recall of at least each target; the best recall where it is never reached."""
    known = newest(lines, lambda line: [line[key] for key in ("data", "side", "target", "rows", "threads")])
    rows: list[str] = []
    for data in dict.fromkeys(line["data"] for line in known):
        mine = [line for line in known if line["data"] == data]
        first = mine[0]
        own = {line["target"]: line for line in mine if line["side"] == "isthmus"}
        cells = [_own(own[target]) if target in own else "not run" for target in TARGETS]
        others = {line["side"]: line for line in reversed(mine) if line["side"] in SIDES}
        rivals = [
            (f"{name} {others[side]['version']}" + mark(others[side]), *(_at(others[side], one) for one in TARGETS))
            for side, name in SIDES.items()
            if side in others
        ]
        rows += [
            f"{data}: {first['rows']:,} × {first['width']}, {first['metric']}, {_threads(first)}; queries per "
            f"second, searched in one batch, at recall@{first['k']} of at least",
            "",
            *markdown(["", *(f"{target:g}" for target in TARGETS)], [("**isthmus `Index`**", *cells), *rivals]),
            "",
            *_alone(own, others),
        ]
    return rows


def _alone(own: Mapping[float, Line], others: Mapping[str, Line]) -> list[str]:
    """The same for queries that are asked one at a time, where that was measured."""
    if not own or any("seconds_a_query" not in line for line in own.values()):
        return []
    cells = [f"{own[target]['seconds_a_query'] * 1e6:.0f}" if target in own else "not run" for target in TARGETS]
    rivals = []
    for side, name in SIDES.items():
        curve = others[side]["curve"] if side in others else []
        if all("seconds_a_query" in point for point in curve) and curve:
            enough = [[point for point in curve if point["recall"] >= target] for target in TARGETS]
            alone = [min((point["seconds_a_query"] for point in some), default=None) for some in enough]
            rivals.append((name, *("never" if value is None else f"{value * 1e6:.0f}" for value in alone)))
    head = ["", *(f"{target:g}" for target in TARGETS)]
    return ["Microseconds of a query alone:", "", *markdown(head, [("**isthmus `Index`**", *cells), *rivals]), ""]


def _own(line: Line) -> str:
    return f"{line['queries_per_second']:,.0f} ({line['kind']}, {line['recall']:.3f})" + mark(line)


def exact(lines: Sequence[Line]) -> list[str]:
    """Seconds, and the share of what the machine can do."""
    rows = []
    for line in newest(lines, lambda line: [line["question"], line["rows"], line["threads"]]):
        spent = line["seconds"]
        if line["question"] == "one query":
            shape = f"one query, {line['rows']:,} × {line['width']}, {_threads(line)}"
            of = f"**{line['share_of_bandwidth']['index']:.0%}** of {line['bandwidth_gb_per_second']:.1f} GB/s"
        else:
            shape = f"{line['queries']:,} × {line['rows']:,} × {line['width']}, top {line['k']}, {_threads(line)}"
            of = f"**{line['share_of_product']['index']:.0%}** of the fp32 product's speed"
            of += f"; FAISS Flat {line['share_of_product']['faiss']:.0%}" if "faiss" in spent else ""
        rows.append((shape + mark(line), f"{spent['index']:.4f}", of))
    return markdown(["question", "seconds", "share"], rows) if rows else []


def filters(lines: Sequence[Line]) -> list[str]:
    """Leaks and short answers of all kinds together."""
    known = newest(lines, lambda line: line["kind"])
    if not known:
        return []
    asked, leaks, short = (sum(line[key] for line in known) for key in ("queries", "leaks", "short"))
    kinds = ", ".join(line["kind"] for line in known)
    return [
        f"{asked:,} random filtered queries over {len(known)} kinds ({kinds}): {leaks} leaks, {short} short answers"
        f"{mark(*known)}."
    ]


def _at(line: Line, target: float) -> str:
    enough = [point for point in line["curve"] if point["recall"] >= target]
    if enough:
        return f"{max(point['queries_per_second'] for point in enough):,.0f}"
    return f"at most {max(point['recall'] for point in line['curve']):.3f}"


def _threads(line: Line) -> str:
    return "1 thread" if line["threads"] == 1 else f"{line['threads']} threads"
