"""What autoencoders are used for: a command and a measured number for each, in the README."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import mean

from benchmarks.harness import Line, kept, mark, markdown, newest
from benchmarks.images.tables import measured
from benchmarks.recommendation.quality.tables import finals

Row = tuple[str, str, str, str]
"""A use, a command, a number, and the benchmark that measured it."""


def headlines() -> list[str]:
    """One row for each use that has a line."""
    rows = [(use, f"`isthmus {command}`", number, f"`{by}`") for make in USES for use, command, number, by in make()]
    return markdown(["for", "on the command line", "measured", "by `python -m benchmarks ...`"], rows)


def recommendation() -> list[Row]:
    """Without naming a model."""
    split = "ml-1m-ultragcn"
    line = _last(finals(kept("recommendation_quality"), split), model="auto")
    if line is None:
        return []
    number = f"recall@20 {line['metrics']['recall@20']:.4f}{mark(line)} (UltraGCN, published: .2787), ML-1M"
    return _row("recommendation", "fit interactions FILE --out DIR", number, f"recommendation_quality --split {split}")


def text() -> list[Row]:
    """The best that uses its code, of the most sentences."""
    known = newest(kept("text_vae"), lambda line: (line["method"], line["sizes"]["sentences"]))
    most = max((line["sizes"]["sentences"] for line in known), default=0)
    used = [line for line in known if line["sizes"]["sentences"] == most and line["rate"] > 1]
    best = min(used, key=lambda line: float(line["weighted_nll"]), default=None)
    if best is None:
        return []
    told = f"{best['weighted_nll']:.1f}{mark(best)} nats a sentence with {best['rate']:.1f} of them in the code"
    by = f'text_vae --method "{best["method"]}"'
    return _row("text generation", "fit text FILE --out DIR", f"{told}, Penn Treebank", by)


def reduction() -> list[Row]:
    """Errors of few numbers, and labels of neighbours."""
    known = measured(kept("images"), "reduction")
    own, pca = _last(known, method="vanilla", code=16), _last(known, method="pca", code=32)
    wide = _last(known, method="vanilla", code=32)
    if own is None or pca is None or wide is None:
        return []
    error = (
        f"16 numbers leave an error of {own['mse']:.5f}{mark(own)} (PCA: 32 numbers {pca['mse']:.5f}), Fashion-MNIST"
    )
    labels = f"5-NN on 32 numbers {wide['accuracy']:.1%}{mark(wide)} (PCA {pca['accuracy']:.1%}), Fashion-MNIST"
    command, by = "encode DIR IMAGES --out codes.npy", f"images --part reduction --epochs {own['epochs']}"
    return _row("dimensionality reduction", command, error, by) + _row("feature learning", command, labels, by)


def anomalies() -> list[Row]:
    """Nothing chosen, beside nearest neighbours."""
    known = newest(kept("anomaly"), lambda line: [line[key] for key in ("part", "case", "method", "seed")])
    auto, near = (_area(known, method) for method in ("auto", "knn"))
    number = f"AUROC {auto} (5-NN {near}), eight tables of ADBench" if auto and near else ""
    return _row("anomaly detection", "fit vectors FILE --model auto --out DIR", number, "anomaly --part tables")


def denoising() -> list[Row]:
    """Photographs."""
    line = _last(newest(kept("denoising"), lambda line: line["sigma"]), sigma=25)
    if line is None:
        return []
    number = f"{line['bsd68']['psnr']:.2f}{mark(line)} dB at σ = 25 (BM3D 28.57, DnCNN 29.23, published), BSD68"
    return _row("image denoising", "denoise DIR NOISY --out CLEAN", number, "denoising")


def generation() -> list[Row]:
    """The likelihood of images."""
    own = [
        line
        for line in measured(kept("images"), "generation")
        if line["measure"] == "nll" and line["method"] == "variational"
    ]
    line = min(own, key=lambda line: float(line["nll"]), default=None)
    number = f"{line['nll']:.1f}{mark(line)} nats an image, dynamically binarised Fashion-MNIST" if line else ""
    return _row("data generation", "sample DIR --out new.png", number, "images --part generation --epochs 5")


def search() -> list[Row]:
    """Vectors in few bytes."""
    line = _last(
        newest(kept("text_compression"), lambda line: (line["method"], line["bytes"])), method="ours", bytes=24
    )
    if line is None:
        return []
    told = f"recall@10 {line['recall_at_10']:.3f}{mark(line)} from 24 bytes a vector ({line['share']:.1%} of 1,536)"
    return _row("similarity search", "index build VECTORS --out DIR", f"{told}, captions", "text_compression")


USES: Sequence[Callable[[], list[Row]]] = (
    recommendation, text, reduction, anomalies, denoising, generation, search,
)  # fmt: skip


def _row(use: str, command: str, number: str, by: str) -> list[Row]:
    return [(use, command, number, by)] if number else []


def _last(lines: Sequence[Line], **wanted: object) -> Line | None:
    return next((line for line in reversed(lines) if all(line[key] == v for key, v in wanted.items())), None)


def _area(lines: Sequence[Line], method: str) -> str:
    """Mean over tables of the mean over seeds."""
    mine = [line for line in lines if line["part"] == "tables" and line["method"] == method]
    cases = {line["case"] for line in mine}
    found = mean(mean(line["auroc"] for line in mine if line["case"] == case) for case in cases) if mine else 0
    return f"{found:.1f}{mark(*mine)}" if mine else ""
