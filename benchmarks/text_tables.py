"""The tables on texts in the README."""

from __future__ import annotations

import math

from result_lines import newest


def compression() -> list[str]:
    lines = {(line["method"], line["bytes"]): line for line in newest("text_compression", _question)}
    full = next(line for (method, _), line in lines.items() if method == "full")
    sizes = sorted({size for method, size in lines if method != "full"})
    names = {"ours": "**isthmus `Compressor`**", "opq": "FAISS OPQ", "pq": "FAISS PQ", "pca": "PCA, int8",
             "truncation": "first dimensions, int8"}  # fmt: skip
    rows = [
        "Recall@10 of captions (multi30k, 5,000 test captions; relevant are the other four of the image) by vectors of "
        f"all-MiniLM-L6-v2; queries in full. All 1,536 bytes: {full['recall_at_10']:.3f}. Learnt on 145,000 training "
        "captions; decoded vectors are brought back to length 1 for every method.",
        "",
        f"| method | {' | '.join(f'{size} bytes' for size in sizes)} |",
        f"|---|{'---|' * len(sizes)}",
    ]
    for method, name in names.items():
        found = [lines.get((method, size)) for size in sizes]
        cells = ["not run" if line is None else f"{line['recall_at_10']:.3f} ({line['share']:.1%})" for line in found]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return rows


def collapse() -> list[str]:
    """Of the largest number of sentences that has lines, each method's newest."""
    known = newest("text_vae", lambda line: (line["method"], line["sizes"]["sentences"]))
    most = max(line["sizes"]["sentences"] for line in known)
    found = [line for line in known if line["sizes"]["sentences"] == most]
    sizes, tested = found[0]["sizes"], found[0]["test_sentences"]
    rows = [
        f"Penn Treebank, {most:,} sentences, an LSTM of {sizes['hidden']}, a code of 32, {sizes['epochs']} epochs, one "
        f"seed; {tested:,} test sentences, {sizes['samples']} importance samples, mutual information at "
        f"most {math.log(tested):.2f} nats. Lower is better in the first two columns.",
        "",
        "| method | IW-NLL, nats a sentence | perplexity of a word | rate | mutual information | active units |",
        "|---|---|---|---|---|---|",
    ]
    return rows + [
        f"| {line['method']} | {line['weighted_nll']:.2f} | {line['perplexity']:.1f} | {line['rate']:.2f} "
        f"| {line['mutual_information']:.2f} | {line['active']} |"
        for line in found
    ]


def _question(line: dict) -> tuple[str, int]:
    return line["method"], line["bytes"]
