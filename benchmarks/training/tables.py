"""The tables of speed and of unseen items in the README."""

from __future__ import annotations

import statistics

from benchmarks.result_lines import newest


def time_to_quality() -> list[str]:
    rows = [
        "Until the rival's best validation nDCG@10 is reached, evaluations included (ML-1M, split of ∞-AE); medians "
        "over seeds. The last columns are ELSA and a closed form, as they come, with the same goal.",
        "",
        "| rival | its nDCG@10 (popularity) | rival | isthmus Mult-VAE | faster | isthmus ELSA | isthmus EDLAE |",
        "|---|---|---|---|---|---|---|",
    ]
    for line in newest("recommender_speed", lambda line: (line["question"], line.get("rival"))):
        if line["question"] != "training":
            continue
        runs = line["runs"]
        goal = statistics.median(run["rival"]["score"] for run in runs)
        spent = [
            statistics.median(run[who]["seconds"] for run in runs) for who in ("rival", "isthmus", "elsa", "edlae")
        ]
        void = " (void: popularity reaches it)" if line["void"] else ""
        rows.append(
            f"| {line['rival']} | {goal:.3f} ({line['popularity']:.3f}){void} | {spent[0]:.1f} s | {spent[1]:.2f} s "
            f"| **{line['ratio']:.1f}×** | {spent[2]:.2f} s | {spent[3]:.2f} s |"
        )
    return rows


def closed_forms() -> list[str]:
    rows = ["| data | isthmus | Cornac 3.0.1 | RecBole 1.2.1 |", "|---|---|---|---|"]
    for line in newest("recommender_speed", lambda line: (line["question"], line["configuration"]["split"])):
        if line["question"] != "ease":
            continue
        config = line["configuration"]
        cells = [
            f"{line[who]['seconds']:.2f} s, {line[who]['above_gib']:.2f} GiB"
            + (f" (**{line['ratio'][who]:.1f}×**)" if who != "isthmus" else "")
            for who in ("isthmus", "cornac", "recbole")
        ]
        rows.append(f"| {config['people']:,} × {config['items']:,} | {' | '.join(cells)} |")
    return rows


def exact_search() -> list[str]:
    rows = []
    for line in newest("recommender_search", lambda line: [line[name] for name in ("people", "items", "width", "k")]):
        spent, faster = line["seconds"], line["times_faster"]
        rows += [
            f"{line['people']:,} people × {line['items']:,} items × {line['width']}, top {line['k']}, "
            f"{line['seen']} seen items each left out, identical answers:",
            "",
            "| isthmus | without bf16 | FAISS Flat, k + seen | implicit 0.7.3 |",
            "|---|---|---|---|",
            f"| {spent['isthmus']:.2f} s | {spent['isthmus_without_bf16']:.2f} s | {spent['faiss']:.2f} s "
            f"(**{faster['faiss']:.1f}×**) | {spent['implicit']:.2f} s (**{faster['implicit']:.1f}×**) |",
            "",
            f"The same-shape product alone takes {line['product_seconds']['fp32']:.2f} s in fp32.",
        ]
    return rows


def growing() -> list[str]:
    lines = newest("scaling", lambda line: line["configuration"])
    rows = ["| items × people | softmax | an epoch | peak memory |", "|---|---|---|---|"]
    for line in (line for line in lines if line["configuration"]["question"] == "cost"):
        config = line["configuration"]
        kind = config["softmax"] + (f", {config['negatives']:,} negatives" if config["negatives"] else "")
        told = f"{line['seconds_an_epoch']:.0f} s" + (" (extrapolated)" if line["extrapolated"] else "")
        shape = f"{config['items']:,} × {config['people']:,}"
        rows.append(f"| {shape} | {kind} | {told} | {line['peak_gb']:.1f} GB |")
    for line in (line for line in lines if line["configuration"]["question"] == "quality"):
        config = line["configuration"]
        rows += [
            "",
            f"At {config['items']:,} items and {config['people']:,} people, {config['epochs']} epochs each: nDCG@100 "
            f"{line['exact']['ndcg']:.4f} exact, {line['sampled']['ndcg']:.4f} sampled "
            f"({line['relative'] - 1:+.1%} ± {line['relative_error']:.1%}), "
            f"{line['popularity']['ndcg']:.4f} popularity.",
        ]
    return rows


def cold() -> list[str]:
    rows = []
    for line in newest("cold_items", lambda line: line["configuration"]["data"]):
        config, only = line["configuration"], line["hidden_items_only"]
        rows += [
            f"{config['data']}, {config['features']}; {config['people_and_items_hidden']:.0%} of items and people "
            f"hidden, {len(config['seeds'])} draws; the hidden items alone are ranked:",
            "",
            "| by | nDCG@20 | recall@20 |",
            "|---|---|---|",
        ]
        for name, found in only.items():
            shown = [f"{found[m]['mean']:.3f} ± {found[m]['standard_error']:.3f}" for m in ("ndcg@20", "recall@20")]
            label = f"**{name}**" if name == "isthmus" else name
            rows.append(f"| {label} | {' | '.join(shown)} |")
        whole = line["all_items"]
        pair = [whole[name]["ndcg@20"]["mean"] for name in ("with hidden items", "without them")]
        rows += [
            "",
            f"One ranking of all items: nDCG@20 {pair[0]:.4f} with the hidden ones, {pair[1]:.4f} without.",
            "",
        ]
    return rows[:-1]


def vectors() -> list[str]:
    """Training over vectors; nothing where it was not run."""
    known = newest("vector_speed", lambda line: (line["data"], line["batch"], line["rows"]))
    if not known:
        return []
    rows = [
        f"Rows a second, network W-64-32-64-W, {known[0]['epochs']} epochs, "
        f"{known[0]['runs']['isthmus'][0]['threads']} threads; in brackets the mean squared error of a held-out "
        "(standardised) number.",
        "",
        "| table | batch | isthmus | PyOD 3.6.7 | pythae 0.1.2 |",
        "|---|---|---|---|---|",
    ]
    for line in known:
        speed, error, faster = line["rows_a_second"], line["errors"], line["times_faster"]
        rivals = [f"{speed[who]:,.0f} ({error[who]:.3f}), **{faster[who]:.1f}×**" for who in ("pyod", "pythae")]
        shape = f"{line['data']}, {line['rows']:,} × {line['columns']}"
        mine = f"{speed['isthmus']:,.0f} ({error['isthmus']:.3f})"
        rows.append(f"| {shape} | {line['batch']:,} | {mine} | {' | '.join(rivals)} |")
    return rows
