"""The table of the README: at most ten measured rows, ours beside the best of the others on the same data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import mean

from benchmarks.harness import Line, kept, mark, markdown, newest, processor_kind
from benchmarks.images.tables import measured
from benchmarks.recommendation.quality.tables import PUBLISHED, finals, released

Row = tuple[str, str, str, str]
"""What is measured, on which data, ours, and the best of the others."""


def headlines() -> list[str]:
    """One row for each comparison that has its lines."""
    rows = [row for make in ROWS for row in make()]
    return markdown(["job", "data and measure", "isthmus", "best of the others"], rows)


def recommendation() -> list[Row]:
    """Without naming a model, on the two splits of UltraGCN."""
    rows: list[Row] = []
    for split, data in (("ml-1m-ultragcn", "MovieLens-1M"), ("amazon-cds", "Amazon CDs, 35,648 items")):
        autos = [line for line in finals(kept("recommendation_quality"), split) if line.get("model") == "auto"]
        own = max(autos, key=lambda line: float(line["setting"]["budget"]), default=None)
        others = [
            (line["metrics"]["recall@20"], released(line["rival"]) + mark(line))
            for line in finals(kept("recommendation_rivals"), split)
            if line["outcome"] == "done"
        ]
        others += [(values[0], name) for name, values in PUBLISHED.get(split, [])]
        if own is not None and others:
            best, name = max(others)
            told = f"{own['metrics']['recall@20']:.4f}{mark(own)}"
            rows.append(("recommendation", f"{data}; recall@20, higher is better", told, f"{best:.4f}, {name}"))
    return rows


def text() -> list[Row]:
    """Language modelling with a code that is used, and speed."""
    rows: list[Row] = []
    known = newest(kept("text_vae"), lambda line: (line["method"], line["sizes"]["sentences"]))
    most = max((line["sizes"]["sentences"] for line in known), default=0)
    used = [line for line in known if line["sizes"]["sentences"] == most and line["rate"] > 1]
    best = min(used, key=_under_the_better_prior, default=None)
    if best is not None:
        told = f"{_under_the_better_prior(best):.1f}{mark(best)}"
        data = "Penn Treebank; nats per sentence, lower is better"
        rows.append(("text with a code", data, told, "100.2, published by Li et al. 2019"))
    speed = _last(kept("text_speed"), part="tsdae")
    if speed is not None:
        ours, other = (speed["tokens_a_second"][speed[key]] for key in ("ours", "fastest_rival"))
        data = f"TSDAE from all-MiniLM-L6-v2; tokens per second, one core, {processor_kind(speed)}"
        rows.append(("text training", data, f"{ours:,.0f}{mark(speed)}", f"{other:,.0f}, sentence-transformers"))
    return rows


def _under_the_better_prior(line: Line) -> float:
    """Nats per sentence of a sequence VAE under its own prior, or one that was fitted to its codes."""
    own = float(line["weighted_nll"])
    return min(own, float(line.get("weighted_nll_fitted_prior", own)))


def images() -> list[Row]:
    """Few numbers, and new images."""
    rows: list[Row] = []
    reduced = measured(kept("images"), "reduction")
    own, pca = _last(reduced, method="vanilla", code=16), _last(reduced, method="pca", code=16)
    if own is not None and pca is not None:
        data = "Fashion-MNIST; error with 16 numbers per image, lower is better"
        rows.append(("reduction", data, f"{own['mse']:.4f}{mark(own)}", f"{pca['mse']:.4f}{mark(pca)}, PCA"))
    made = [line for line in measured(kept("images"), "generation") if line["measure"] == "nll"]
    ours = min((x for x in made if not x["method"].startswith("pythae")), key=lambda x: float(x["nll"]), default=None)
    other = min((x for x in made if x["method"].startswith("pythae")), key=lambda x: float(x["nll"]), default=None)
    if ours is not None and other is not None:
        data = "binarised Fashion-MNIST; nats per image, lower is better"
        told = f"{ours['nll']:.1f}{mark(ours)}"
        rows.append(("generation", data, told, f"{other['nll']:.1f}{mark(other)}, {other['method']}"))
    return rows


def denoising() -> list[Row]:
    """Photographs: the best of the networks, asked once for each image."""
    known = [line for line in kept("denoising") if line["sigma"] == 25 and line.get("way") != "eightfold"]
    lines = newest(known, lambda line: [line.get("model"), line.get("way")])
    if not lines:
        return []
    best = max(lines, key=lambda line: float(line["bsd68"]["psnr"]))
    told = f"{best['bsd68']['psnr']:.2f}{mark(best)}"
    return [("denoising", "BSD68, σ = 25; dB, higher is better", told, "29.23, DnCNN-S, published")]


def anomalies() -> list[Row]:
    """Nothing chosen, beside nearest neighbours."""
    known = newest(kept("anomaly"), lambda line: [line[key] for key in ("part", "case", "method", "seed")])
    auto, near = (_area(known, method) for method in ("auto", "knn"))
    data = "eight tables of ADBench; AUROC, higher is better"
    return [("anomalies", data, auto, f"{near}, nearest neighbours of PyOD")] if auto and near else []


def compression() -> list[Row]:
    """Vectors in 24 bytes."""
    known = newest(kept("text_compression"), lambda line: (line["method"], line["bytes"]))
    own, other = (_last(known, method=method, bytes=24) for method in ("ours", "opq"))
    if own is None or other is None:
        return []
    data = "captions, 24 of 1,536 bytes per vector; recall@10, higher is better"
    told, theirs = (f"{line['recall_at_10']:.3f}{mark(line)}" for line in (own, other))
    return [("compression", data, told, f"{theirs}, OPQ of FAISS")]


def search() -> list[Row]:
    """Queries per second at a recall of 0.95, on vectors of 784 numbers."""
    known = [line for line in kept("index_recall") if line["data"] == "pixels"]
    own = _last(known, side="isthmus", target=0.95)
    others = [
        (point["queries_per_second"], f"{line['side']}{mark(line)}")
        for line in known
        for point in line.get("curve", ())
        if point["recall"] >= 0.95
    ]
    if own is None or not others:
        return []
    data = f"Fashion-MNIST, 60,000 × 784; queries per second at recall@10 of 0.95, one core, {processor_kind(own)}"
    best, name = max(others)
    return [("search", data, f"{own['queries_per_second']:,.0f}{mark(own)}", f"{best:,.0f}, {name}")]


ROWS: Sequence[Callable[[], list[Row]]] = (
    recommendation, text, images, denoising, anomalies, compression, search,
)  # fmt: skip


def _last(lines: Sequence[Line], **wanted: object) -> Line | None:
    return next((line for line in reversed(lines) if all(line[key] == v for key, v in wanted.items())), None)


def _area(lines: Sequence[Line], method: str) -> str:
    """Mean over tables of the mean over seeds."""
    mine = [line for line in lines if line["part"] == "tables" and line["method"] == method]
    cases = {line["case"] for line in mine}
    found = mean(mean(line["auroc"] for line in mine if line["case"] == case) for case in cases) if mine else 0
    return f"{found:.1f}{mark(*mine)}" if mine else ""
