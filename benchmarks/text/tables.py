"""The tables on texts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmarks.harness import Line, mark, markdown, newest

PUBLISHED_FOR = 3_761
PUBLISHED = [
    ("*published: autoencoder start, free bits (Li et al. 2019)*", "100.23", "96.9", "6.54", "5.31", "32"),
    ("*published: language model without a code (there)*", "101.04", "100.5", "", "", ""),
]


def compression(known: Sequence[Line]) -> list[str]:
    """Recall of every method and size."""
    newer = newest(known, lambda line: (line["method"], line["bytes"]))
    lines = {(line["method"], line["bytes"]): line for line in newer}
    full = next((line for (method, _), line in lines.items() if method == "full"), None)
    if full is None:
        return []
    sizes = sorted({size for method, size in lines if method != "full"})
    names = {"ours": "**isthmus `Compressor`**", "opq": "FAISS OPQ", "pq": "FAISS PQ", "pca": "PCA, int8",
             "truncation": "first dimensions, int8"}  # fmt: skip
    told = (
        "Recall@10 of captions (multi30k, 5,000 test captions; relevant are the other four of the image) by vectors of "
        f"all-MiniLM-L6-v2; queries in full. All 1,536 bytes: {full['recall_at_10']:.3f}{mark(full)}. Learnt on "
        "145,000 training captions; decoded vectors are brought back to length 1 for every method."
    )
    rows = []
    for method, name in names.items():
        found = [lines.get((method, size)) for size in sizes]
        cells = [
            "not run" if line is None else f"{line['recall_at_10']:.3f} ({line['share']:.1%})" + mark(line)
            for line in found
        ]
        rows.append([name, *cells])
    return [told, "", *markdown(["method", *(f"{size} bytes" for size in sizes)], rows)]


def collapse(lines: Sequence[Line]) -> list[str]:
    """A table for each number of sentences that has lines, the largest first; each method's newest."""
    known = newest(lines, lambda line: (line["method"], line["sizes"]["sentences"]))
    numbers = sorted({line["sizes"]["sentences"] for line in known}, reverse=True)
    tables = [_collapse([line for line in known if line["sizes"]["sentences"] == number]) for number in numbers]
    return [row for table in tables for row in (*table, "")]


def _collapse(found: Sequence[Line]) -> list[str]:
    sizes, tested = found[0]["sizes"], found[0]["test_sentences"]
    told = (
        f"{sizes['sentences']:,} sentences, an LSTM of {sizes['hidden']}, a code of 32, one seed; {tested:,} test "
        f"sentences, mutual information at most {math.log(tested):.2f} nats. Lower is better in the first two columns."
    )
    rows = [row for line in found for row in _remedy(line)]
    head = ["method", "IW-NLL, nats per sentence", "perplexity of a word", "rate", "mutual information", "active units",
            "epochs", "importance samples"]  # fmt: skip
    published = [(*row, "", "") for row in PUBLISHED] if tested == PUBLISHED_FOR else []
    return [told, "", *markdown(head, [*published, *rows])]


def _remedy(line: Line) -> list[tuple[object, ...]]:
    """The row of a method, and that of the same model with a prior that was fitted afterwards."""
    sizes, settings = line["sizes"], line["settings"]
    epochs = f"{settings['pretraining']} + {settings['epochs']}" if "pretraining" in settings else settings["epochs"]
    if "nll" not in line:
        return [(line["method"] + mark(line), *_nats(line, ""), "", "", "", epochs, "")]
    code = (f"{line['rate']:.2f}", f"{line['mutual_information']:.2f}", line["active"], epochs, sizes["samples"])
    rows: list[tuple[object, ...]] = [(line["method"] + mark(line), *_nats(line, ""), *code)]
    if "weighted_nll_fitted_prior" in line:
        many = "one Gaussian" if line["components"] == 1 else f"{line['components']} Gaussians"
        name = f"the same, its prior {many} fitted to the training codes"
        rows.append((name + mark(line), *_nats(line, "_fitted_prior"), "", *code[1:]))
    return rows


def _nats(line: Line, prior: str) -> tuple[str, str]:
    return f"{line[f'weighted_nll{prior}']:.2f}", f"{line[f'perplexity{prior}']:.1f}"


def sentences(lines: Sequence[Line]) -> list[str]:
    """The two models for sentences, beside real text."""
    known = newest(lines, lambda line: (line["method"], line["texts"]))
    models = [line for line in known if "bleu" in line]
    return [*_written_back(models), "", *_searched(models), "", *_drawn(known)] if models else []


def _written_back(models: Sequence[Line]) -> list[str]:
    head = [
        "model",
        "trained on",
        "minutes of one core",
        "BLEU",
        "exact",
        "at the ends",
        "at 3/10",
        "in the middle",
    ]
    rows = [
        (
            line["method"] + mark(line), f"{line['texts']:,}", f"{line['fit_cpu_seconds'] / 60:.1f}",
            f"{line['bleu']:.1f}", f"{line['exact']:.0%}", f"{line['perplexity_of_ends']:.0f}",
            *(f"{line[f'perplexity_at_{at}']:.0f} ({line[f'ends_at_{at}']:.0%} an end)" for at in (0.3, 0.5)),
        )
        for line in models
    ]  # fmt: skip
    told = (
        f"{models[0]['compared']:,} held-out captions, the longest of each image; between two of them, perplexities "
        "by the n-gram model."
    )
    return [told, "", *markdown(head, rows)]


def _searched(models: Sequence[Line]) -> list[str]:
    def cells(line: Line, by: str) -> tuple[str, str]:
        if f"cosine_by_{by}" not in line:
            return "", ""
        spread = f"{line[f'cosine_by_{by}']:.2f} ± {line[f'spread_by_{by}']:.2f}"
        return f"{line[f'recall_at_10_by_{by}']:.3f}", spread

    head = ["model", "trained on", "recall@10 by `search`", "cosines of random pairs", "recall@10 by codes",
            "cosines of random pairs"]  # fmt: skip
    rows = [
        (line["method"] + mark(line), f"{line['texts']:,}", *cells(line, "search"), *cells(line, "codes"))
        for line in models
    ]
    return markdown(head, rows)


def _drawn(known: Sequence[Line]) -> list[str]:
    rows = [
        (
            line["method"] + mark(line), f"{line['texts']:,}", line["drawn"], f"{line['perplexity']:.1f}",
            f"{line['self_bleu']:.1f}",
        )
        for line in known
    ]  # fmt: skip
    return markdown(["drawn by", "trained on", "texts", "perplexity by the n-gram model", "self-BLEU"], rows)


def embeddings(lines: Sequence[Line]) -> list[str]:
    """The unchanged encoder, read back, and adapted."""
    keys = ("part", "model", "split", "way", "training_sentences")
    known = newest(lines, lambda line: [line.get(key) for key in keys])
    made = {
        "The unchanged encoder": _as_it_is(known),
        "Readable embeddings": _read_back([line for line in known if line["part"] == "readable"]),
        "A sentence encoder on a domain": _adapted([line for line in known if line["part"] == "tsdae"]),
    }
    return [row for title, rows in made.items() if rows for row in (f"#### {title}", "", *rows, "")]


def _as_it_is(known: Sequence[Line]) -> list[str]:
    """all-MiniLM-L6-v2 on STS-B and on captions."""
    rows = [
        (f"STS-B {line['split']}, {line['pairs']:,} pairs", f"Spearman {line['spearman']:.4f}" + mark(line))
        for line in known
        if line["part"] == "stsb"
    ]
    rows += [
        (f"multi30k {line['split']}, {line['queries']:,} captions", f"recall@10 {line['recall@10']:.4f}" + mark(line))
        for line in known
        if line["part"] == "captions"
    ]
    return markdown(["data", "all-MiniLM-L6-v2"], rows) if rows else []


def _read_back(known: Sequence[Line]) -> list[str]:
    """Texts from their vectors alone."""
    if not known:
        return []
    splits = list(dict.fromkeys(line["split"] for line in known))
    # Lines before the Web Treebank was read up to 15 words do not say so.
    counts = {line["split"]: f"{line['texts']:,} of at most {line.get('longest_words', 20)} words" for line in known}
    trained = known[-1]["training_texts"]
    told = (
        "Held-out sentences, written from their all-MiniLM-L6-v2 vectors (which stay as they are): BLEU (whitespace "
        "tokens), share of exact matches, and mean cosine of the written text's vector and the given one. Decoder "
        f"trained on {sum(trained.values()) if isinstance(trained, dict) else trained:,} texts "
        f"in {known[-1]['training_seconds'] / 3600:.1f} h on one core."
    )
    found = {(line["way"], line["split"]): line for line in known}
    rows = []
    for way in dict.fromkeys(line["way"] for line in known):
        mine = [found.get((way, split)) for split in splits]
        cells = [
            "not run" if line is None else f"{line['bleu']:.1f}, {line['exact']:.1%}, {line['cosine']:.2f}" + mark(line)
            for line in mine
        ]
        rows.append([way, *cells])
    return [told, "", *markdown(["way", *(f"{split} ({counts[split]})" for split in splits)], rows)]


def _adapted(known: Sequence[Line]) -> list[str]:
    """Denoising on a domain."""
    most = max((line["training_sentences"] for line in known), default=0)
    found = [line for line in known if line["training_sentences"] == most]
    if not found:
        return []
    told = (
        f"all-MiniLM-L6-v2 after `denoising_text` on {most:,} sentences of the English Web Treebank, without labels; "
        "a linear probe of the genre of its test sentences (most frequent genre: "
        f"{found[0]['genre_most_frequent']:.1%})."
    )
    rows = [
        (
            line["model"] + mark(line),
            f"{line['stsb_test']:.4f}",
            f"{line['genre_test']:.1%}",
            f"{line['cosine_to_before']:.3f}",
            f"{line['training_seconds']:.0f}",
        )
        for line in found
    ]
    head = ["encoder", "STS-B test, Spearman", "genre probe, accuracy", "cosine to the vectors before", "seconds"]
    return [told, "", *markdown(head, rows)]


def speeds(lines: Sequence[Line]) -> list[str]:
    """Tokens a second, part by part."""
    known = newest(lines, lambda line: (line["part"], line.get("form"), line.get("precision")))
    parts = {"tsdae": _tsdae, "encode": _encoding, "sequence": _sequence}
    tables = [write([line for line in known if line["part"] == part]) for part, write in parts.items()]
    return [row for table in tables if table for row in (*table, "")]


def preparing(lines: Sequence[Line]) -> list[str]:
    """A sentence for each kind of tokenizer."""
    return [
        f"{line['lines']:,} lines ({line['text_mb']:,.0f} MB) are read, their tokenizer is trained and "
        f"{line['tokens']:,} tokens are stored ({line['store_mb']:,.0f} MB) in "
        f"{sum(line['seconds'].values()) / 60:.1f} minutes on one core with at most {line['peak_mb']:,} MB of memory"
        f"{mark(line)}."
        for line in newest(lines, lambda line: line["kind"])
    ]


def _tsdae(known: Sequence[Line]) -> list[str]:
    if not known:
        return []
    (line,) = known[-1:]
    told = (
        f"TSDAE from all-MiniLM-L6-v2, {line['pairs']:,} pairs of English Web Treebank sentences, "
        f"{line['threads']} thread(s); sentence-transformers' loss with each learning rate and precision."
    )
    rows = [
        (name + mark(line), f"{speed:,.0f}", f"{line['curves'][name][-1]['loss']:.3f}")
        for name, speed in line["tokens_a_second"].items()
    ]
    sooner = "not reached" if line["times_sooner"] is None else f"**{line['times_sooner']:.1f}×** sooner"
    goal = f"{line['goal_nats_a_token']:.3f} nats, the lowest of the others: {sooner} than the first of them"
    faster = f"**{line['times_faster']:.1f}×** the tokens of the fastest of the others. {goal}."
    return [
        told,
        "",
        *markdown(["training", "tokens per second", "nats per held-out token at the end"], rows),
        "",
        faster,
    ]


def _encoding(known: Sequence[Line]) -> list[str]:
    if not known:
        return []
    ways = list(known[0]["ways"])
    rows = [
        [
            line["precision"] + mark(line),
            *(f"{line['ways'][way]['median']:.1f} s" for way in ways),
            f"**{line['times_faster']:.2f}×**",
            f"{line['largest_difference']:.0e}",
        ]
        for line in known
    ]
    told = f"Encoding {known[0]['texts']:,} texts of mixed lengths ({known[0]['tokens']:,} tokens):"
    head = ["precision", *ways, "faster than the better one", "largest difference to fp32"]
    return [told, "", *markdown(head, rows)]


def _sequence(known: Sequence[Line]) -> list[str]:
    rows = [
        (line["form"] + mark(line), line["precision"], f"{line['tokens'] / line['seconds']:,.0f}") for line in known
    ]
    return markdown(["sequence VAE", "precision", "tokens per second of training"], rows) if rows else []
