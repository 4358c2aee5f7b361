"""The tables on texts in the README."""

from __future__ import annotations

import math

from benchmarks.result_lines import newest

PUBLISHED_FOR = 3_761
PUBLISHED = [
    "| *published: autoencoder start, free bits (Li et al. 2019)* | 100.23 | 96.9 | 6.54 | 5.31 | 32 |",
    "| *published: language model without a code (there)* | 101.04 | 100.5 | | | |",
]


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
    """A table for each number of sentences that has lines, the largest first; each method's newest."""
    known = newest("text_vae", lambda line: (line["method"], line["sizes"]["sentences"]))
    numbers = sorted({line["sizes"]["sentences"] for line in known}, reverse=True)
    tables = [_collapse([line for line in known if line["sizes"]["sentences"] == number]) for number in numbers]
    return [row for table in tables for row in (*table, "")][:-1]


def _collapse(found: list[dict]) -> list[str]:
    sizes, tested = found[0]["sizes"], found[0]["test_sentences"]
    rows = [
        f"Penn Treebank, {sizes['sentences']:,} sentences, an LSTM of {sizes['hidden']}, a code of 32, "
        f"{sizes['epochs']} epochs, one seed; {tested:,} test sentences, {sizes['samples']} importance samples, mutual "
        f"information at most {math.log(tested):.2f} nats. Lower is better in the first two columns.",
        "",
        "| method | IW-NLL, nats a sentence | perplexity of a word | rate | mutual information | active units |",
        "|---|---|---|---|---|---|",
    ]
    if tested == PUBLISHED_FOR:
        rows += PUBLISHED
    return rows + [
        f"| {line['method']} | {line['weighted_nll']:.2f} | {line['perplexity']:.1f} | {line['rate']:.2f} "
        f"| {line['mutual_information']:.2f} | {line['active']} |"
        for line in found
    ]


def read_back() -> list[str]:
    """Texts from their vectors alone; nothing where the part was not run."""
    known = [line for line in newest("text_embeddings", _of_part) if line["part"] == "readable"]
    if not known:
        return []
    splits = list(dict.fromkeys(line["split"] for line in known))
    counts = {line["split"]: line["texts"] for line in known}
    rows = [
        "Held-out sentences of at most 20 words, written from their all-MiniLM-L6-v2 vectors (which stay as they are): "
        f"BLEU (whitespace tokens) and share of exact matches. Decoder trained on {known[0]['training_texts']:,} texts "
        f"in {known[-1]['training_seconds'] / 3600:.1f} h on one core.",
        "",
        f"| way | {' | '.join(f'{split} ({counts[split]:,})' for split in splits)} |",
        f"|---|{'---|' * len(splits)}",
    ]
    found = {(line["way"], line["split"]): line for line in known}
    for way in dict.fromkeys(line["way"] for line in known):
        lines = [found.get((way, split)) for split in splits]
        cells = ["not run" if line is None else f"{line['bleu']:.1f}, {line['exact']:.1%}" for line in lines]
        rows.append(f"| {way} | {' | '.join(cells)} |")
    return rows


def adapted() -> list[str]:
    """Denoising on a domain; nothing where the part was not run."""
    known = [line for line in newest("text_embeddings", _of_part) if line["part"] == "tsdae"]
    most = max((line["training_sentences"] for line in known), default=0)
    found = [line for line in known if line["training_sentences"] == most]
    if not found:
        return []
    rows = [
        f"all-MiniLM-L6-v2 after `denoising_text` on {most:,} sentences of the English Web Treebank, without labels; "
        "a linear probe of the genre of its test sentences (most frequent genre: "
        f"{found[0]['genre_most_frequent']:.1%}).",
        "",
        "| encoder | STS-B test, Spearman | genre probe, accuracy | cosine to the vectors before | seconds |",
        "|---|---|---|---|---|",
    ]
    return rows + [
        f"| {line['model']} | {line['stsb_test']:.4f} | {line['genre_test']:.1%} | {line['cosine_to_before']:.3f} "
        f"| {line['training_seconds']:.0f} |"
        for line in found
    ]


def speeds() -> list[str]:
    """Tokens a second; nothing where no part was run."""
    known = newest("text_speed", lambda line: (line["part"], line.get("form"), line.get("precision")))
    parts = {"tsdae": _tsdae, "encode": _encoding, "sequence": _sequence}
    tables = [write([line for line in known if line["part"] == part]) for part, write in parts.items()]
    return [row for table in (*tables, _preparing()) if table for row in (*table, "")][:-1]


def _preparing() -> list[str]:
    return [
        f"{line['lines']:,} lines ({line['text_mb']:,.0f} MB) are read, their tokenizer is trained and "
        f"{line['tokens']:,} tokens are stored ({line['store_mb']:,.0f} MB) in "
        f"{sum(line['seconds'].values()) / 60:.1f} minutes on one core with at most {line['peak_mb']:,} MB of memory."
        for line in newest("text_preparing", lambda line: line["kind"])
    ]


def _tsdae(known: list[dict]) -> list[str]:
    if not known:
        return []
    (line,) = known[-1:]
    rows = [
        f"TSDAE from all-MiniLM-L6-v2, {line['pairs']:,} pairs of English Web Treebank sentences, "
        f"{line['threads']} thread(s); sentence-transformers' loss with each learning rate and precision.",
        "",
        "| training | tokens a second | nats a held-out token at the end |",
        "|---|---|---|",
    ]
    rows += [
        f"| {name} | {speed:,.0f} | {line['curves'][name][-1]['loss']:.3f} |"
        for name, speed in line["tokens_a_second"].items()
    ]
    sooner = "not reached" if line["times_sooner"] is None else f"**{line['times_sooner']:.1f}×** sooner"
    told = f"{line['goal_nats_a_token']:.3f} nats, the lowest of the others: {sooner} than the first of them"
    return [*rows, "", f"**{line['times_faster']:.1f}×** the tokens of the fastest of the others. {told}."]


def _encoding(known: list[dict]) -> list[str]:
    if not known:
        return []
    ways = list(known[0]["ways"])
    rows = [
        f"Encoding {known[0]['texts']:,} texts of mixed lengths ({known[0]['tokens']:,} tokens):",
        "",
        f"| precision | {' | '.join(ways)} | faster than the better one | largest difference to fp32 |",
        f"|---|{'---|' * (len(ways) + 2)}",
    ]
    for line in known:
        times = " | ".join(f"{line['ways'][way]['median']:.1f} s" for way in ways)
        faster = f"**{line['times_faster']:.2f}×**"
        rows.append(f"| {line['precision']} | {times} | {faster} | {line['largest_difference']:.0e} |")
    return rows


def _sequence(known: list[dict]) -> list[str]:
    if not known:
        return []
    rows = ["| sequence VAE | precision | tokens a second of training |", "|---|---|---|"]
    return rows + [
        f"| {line['form']} | {line['precision']} | {line['tokens'] / line['seconds']:,.0f} |" for line in known
    ]


def _of_part(line: dict) -> list:
    return [line["part"], *(line.get(name) for name in ("model", "split", "way", "training_sentences"))]


def _question(line: dict) -> tuple[str, int]:
    return line["method"], line["bytes"]
