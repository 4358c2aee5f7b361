"""The tables on the index in the README."""

from __future__ import annotations

from benchmarks.result_lines import Line, newest

TARGETS = (0.8, 0.9, 0.95, 0.99)
SIDES = {"faiss-ivf": "FAISS IVF", "faiss-hnsw": "FAISS HNSW", "hnswlib": "hnswlib", "usearch": "usearch",
         "implicit": "implicit's wrapper", "faiss-flat": "FAISS Flat"}  # fmt: skip


def recall() -> list[str]:
    """Queries a second at recall of at least each target; the best recall where it is never reached."""
    known = newest("index_recall", lambda line: [line[key] for key in ("data", "side", "target", "rows", "threads")])
    rows: list[str] = []
    for data in dict.fromkeys(line["data"] for line in known):
        mine = [line for line in known if line["data"] == data]
        first = mine[0]
        rows += [
            f"{data}: {first['rows']:,} × {first['width']}, {first['metric']}, {_threads(first)}; queries a "
            f"second, asked together, at recall@{first['k']} of at least",
            "",
            f"| | {' | '.join(f'{target:g}' for target in TARGETS)} |",
            f"|---|{'---|' * len(TARGETS)}",
        ]
        own = {line["target"]: line for line in mine if line["side"] == "isthmus"}
        cells = [
            f"{own[target]['queries_per_second']:,.0f} ({own[target]['kind']}, {own[target]['recall']:.3f})"
            if target in own
            else "not run"
            for target in TARGETS
        ]
        rows.append(f"| **isthmus `Index`** | {' | '.join(cells)} |")
        for side, name in SIDES.items():
            line = next((line for line in mine if line["side"] == side), None)
            if line is not None:
                rows.append(f"| {name} {line['version']} | {' | '.join(_at(line, target) for target in TARGETS)} |")
        rows.append("")
    return rows


def exact() -> list[str]:
    known = newest("index_exact", lambda line: [line["question"], line["rows"], line["threads"]])
    rows = ["| question | seconds | share |", "|---|---|---|"] if known else []
    for line in known:
        spent = line["seconds"]
        if line["question"] == "one query":
            shape = f"one query, {line['rows']:,} × {line['width']}, {_threads(line)}"
            of = f"**{line['share_of_bandwidth']['index']:.0%}** of {line['bandwidth_gb_per_second']:.1f} GB/s"
        else:
            shape = f"{line['queries']:,} × {line['rows']:,} × {line['width']}, top {line['k']}, {_threads(line)}"
            of = f"**{line['share_of_product']['index']:.0%}** of the fp32 product's speed"
            of += f"; FAISS Flat {line['share_of_product']['faiss']:.0%}" if "faiss" in spent else ""
        rows.append(f"| {shape} | {spent['index']:.4f} | {of} |")
    return rows


def filters() -> list[str]:
    known = newest("index_filters", lambda line: line["kind"])
    if not known:
        return []
    asked, leaks, short = (sum(line[key] for line in known) for key in ("queries", "leaks", "short"))
    kinds = ", ".join(line["kind"] for line in known)
    return [
        f"{asked:,} random filtered queries over {len(known)} kinds ({kinds}): {leaks} leaks, {short} short answers."
    ]


def _at(line: Line, target: float) -> str:
    enough = [point for point in line["curve"] if point["recall"] >= target]
    if enough:
        return f"{max(point['queries_per_second'] for point in enough):,.0f}"
    return f"at most {max(point['recall'] for point in line['curve']):.3f}"


def _threads(line: Line) -> str:
    return "1 thread" if line["threads"] == 1 else f"{line['threads']} threads"
