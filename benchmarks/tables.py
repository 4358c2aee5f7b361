"""The results in the README: rendered from the newest committed line of each question, never typed.

python -m benchmarks.tables            # write them into README.md
python -m benchmarks.tables --check    # exit 1 where the README says something else (a test does this)
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.headlines import applications
from benchmarks.images.tables import cleaning, generation, reduction, sparse_codes, strange_rows
from benchmarks.index.tables import exact as index_exact
from benchmarks.index.tables import filters as index_filters
from benchmarks.index.tables import recall as index_recall
from benchmarks.kinds.tables import five_kinds
from benchmarks.recommendation.quality.tables import quality as published
from benchmarks.result_lines import newest
from benchmarks.text.tables import adapted, collapse, compression, read_back, speeds
from benchmarks.training.tables import closed_forms, cold, exact_search, growing, time_to_quality, vectors

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
START, END = "<!-- results: from benchmarks/tables.py -->", "<!-- /results -->"


def training_steps() -> list[str]:
    lines = newest("training_step", lambda line: (line["question"], line["configuration"]["items"]))
    rows = ["| items × each | dense fp32 textbook | isthmus | faster | share of bf16 peak |", "|---|---|---|---|---|"]
    for line in (line for line in lines if "ratio" in line):
        shape = f"{line['configuration']['items']:,} × {line['configuration']['each']}"
        times = f"{line['textbook_seconds']:.3f} s | {line['isthmus_seconds']:.3f} s"
        faster = f"**{line['ratio']:.1f}×** ({line['ratio_same_allocator']:.1f}× with our allocator setting)"
        rows.append(f"| {shape} | {times} | {faster} | {line['share_of_peak']:.0%} |")
    for line in (line for line in lines if "difference" in line):
        config, losses = line["configuration"], (line["textbook_loss"], line["isthmus_loss"])
        rows.append("")
        rows.append(
            f"After {config['steps']} steps on {config['items']:,} items: loss {losses[0]:.2f} (textbook) and "
            f"{losses[1]:.2f} (isthmus) nats a person, {line['difference']:+.2%}."
        )
    return rows


def evaluations() -> list[str]:
    rows = [
        "| RecBole model | RecBole as it comes | eval_batch_size=4000000 | isthmus | faster |",
        "|---|---|---|---|---|",
    ]
    for line in newest("evaluation", lambda line: line["model"]):
        spent = line["seconds"]
        times = f"{spent['recbole']:.2f} s | {spent['recbole_large']:.2f} s | {spent['isthmus']:.3f} s"
        faster = f"{line['times_faster_than_recbole']:.0f}× and {line['times_faster_than_recbole_large']:.1f}×"
        rows.append(f"| {line['model']} | {times} | {faster} |")
    return rows


def memory() -> list[str]:
    (line,) = newest("training_memory", lambda line: 0)[-1:]
    config = line["configuration"]
    return [
        f"{config['items']:,} items, batch {config['batch']}, width {config['hidden']}, "
        f"{line['parameters'] / 1e6:,.0f} M parameters: {line['base_gb']:.2f} GB with model, optimiser and gradients; "
        f"training peaks at {line['peak_gb']:.2f} GB (**{line['above_gb']:+.2f} GB**), "
        f"{line['seconds_a_step']:.1f} s a step."
    ]


def quality() -> list[str]:
    (line,) = newest("demo_quality", lambda line: 0)
    config = line["configuration"]
    rows = [
        f"Strong generalisation: {config['test_people']} readers held out of {config['people']:,}, 80/20 fold-in, "
        f"{config['items']:,} books, ratings of 4 and 5, seed {config['seed']}; mean ± standard error. "
        "The epoch (and, in the demo, the model) is chosen on 250 other readers, and so was EASE's λ = 100 among 25, "
        "50, 100, 150, 200 and 300, and RDLAE's λ = 50, p = 0.5, ξ = 0.3 among five settings; the deep models have "
        "Liang et al.'s settings but for a batch of 100 and 40 or 50 epochs.",
        "",
        "| model | recall@20 (divided by min(20, n)) | nDCG@100 |",
        "|---|---|---|",
    ]
    for score in line["scores"]:
        shown = [f"{score[m]['mean']:.3f} ± {score[m]['standard_error']:.3f}" for m in ("recall_capped@20", "ndcg@100")]
        rows.append(f"| {score['model']} | {' | '.join(shown)} |")
    return rows


def latency() -> list[str]:
    rows = ["| model, 20,000 items | median | 99th percentile |", "|---|---|---|"]
    lines = newest("recommend_latency", lambda line: line["configuration"]["model"])
    models = [line["configuration"]["model"] for line in lines]
    times = [f"{line['median_ms']:.2f} ms | {line['p99_ms']:.2f} ms" for line in lines]
    return rows + [f"| {model} | {time} |" for model, time in zip(models, times, strict=True)]


def loading() -> list[str]:
    rows = ["| CSV | rows kept | seconds | peak memory |", "|---|---|---|---|"]
    return rows + [
        f"| {line['rows'] / 1e6:.0f} M rows, {line['file_mb']:,} MB "
        f"| {line['keep'] or 'top two fifths of the scale'} | {line['seconds']:.1f} s | {line['peak_mb']:,.0f} MB |"
        for line in newest("csv_loading", lambda line: (line["rows"], line["keep"]))
    ]


SECTIONS: dict[str, Callable[[], list[str]]] = {
    "What it is for": applications,
    "One training step (Mult-VAE 600-200-600, batch 500)": training_steps,
    "Recommendation quality on published splits": published,
    "Time to a rival's quality": time_to_quality,
    "EASE: time and memory above the data": closed_forms,
    "Exact search": exact_search,
    "Growing catalogues (Mult-DAE, code 128, batch 500, synthetic)": growing,
    "Items that nobody has touched": cold,
    "Recommendation quality (demo-goodbooks)": quality,
    "A catalogue of a million items": memory,
    "Evaluation (ML-1M, recall and nDCG at 10 and 20, equal metrics)": evaluations,
    "One `recommend` call for one person": latency,
    "Loading interactions": loading,
    "The five kinds in four domains": five_kinds,
    "Fewer dimensions": reduction,
    "Noise taken away": cleaning,
    "New images": generation,
    "Sparse codes": sparse_codes,
    "Anomalies": strange_rows,
    "Vectors in few bytes": compression,
    "Cures of posterior collapse": collapse,
    "Embeddings that can be read": read_back,
    "A sentence encoder on a domain": adapted,
    "Training and encoding texts": speeds,
    "Training over vectors": vectors,
    "The index: recall against queries a second": index_recall,
    "The index: exact search": index_exact,
    "The index: filters": index_filters,
}


def rendered() -> str:
    parts = [START]
    for title, table in SECTIONS.items():
        rows = table()
        # What has no lines yet has no section.
        parts += ["", f"### {title}", "", *rows] if rows else []
    return "\n".join([*parts, "", END])


def main() -> None:
    text = README.read_text(encoding="utf-8")
    before, after = text[: text.index(START)], text[text.index(END) + len(END) :]
    wanted = before + rendered() + after
    if "--check" in sys.argv[1:]:
        sys.exit(0 if wanted == text else "README.md and benchmarks/results differ: run python -m benchmarks.tables")
    README.write_text(wanted, encoding="utf-8")


if __name__ == "__main__":
    main()
