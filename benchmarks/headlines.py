"""What autoencoders are used for, in the README: a command and a measured number for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import mean

from benchmarks.images.tables import measured
from benchmarks.result_lines import Line, finals, newest


def applications() -> list[str]:
    """One row for each use that has a line."""
    rows = ["| for | on the command line | measured | by |", "|---|---|---|---|"]
    for use, command, number, by in _rows():
        rows.append(f"| {use} | `{command}` | {number} | `python benchmarks/{by}` |")
    return rows


def _rows() -> Iterator[tuple[str, str, str, str]]:
    for make in (_recommendation, _text, _reduction, _features, _anomalies, _denoising, _generation, _search):
        found = make()
        if found is not None:
            yield found


def _recommendation() -> tuple[str, str, str, str] | None:
    split = "ml-1m-ultragcn"
    known = {line["model"]: line["metrics"]["recall@20"] for line in finals("recommendation_quality", split)}
    number = f"recall@20 {known['auto']:.4f} (UltraGCN, published: .2787), ML-1M"
    return (
        "recommendation",
        "isthmus fit interactions FILE --out DIR",
        number,
        f"recommendation_quality.py --split {split}",
    )


def _text() -> tuple[str, str, str, str] | None:
    known = newest("text_vae", lambda line: (line["method"], line["sizes"]["sentences"]))
    most = max((line["sizes"]["sentences"] for line in known), default=0)
    best = min((line for line in known if line["sizes"]["sentences"] == most and line["rate"] > 1), key=_nll)
    number = f"{best['weighted_nll']:.1f} nats a sentence with {best['rate']:.1f} of them in the code, Penn Treebank"
    size = " --reduced" if most < 42_068 else ""
    script = f'text_vae.py --directory D{size} --method "{best["method"]}"'
    return "text generation", "isthmus fit text FILE --out DIR", number, script


def _reduction() -> tuple[str, str, str, str] | None:
    known = measured("reduction")
    own = _newest_of(known, lambda line: line["method"] == "vanilla" and line["code"] == 16)
    wide = _newest_of(known, lambda line: line["method"] == "pca" and line["code"] == 32)
    if own is None or wide is None:
        return None
    number = f"16 numbers leave an error of {own['mse']:.5f} (PCA: 32 numbers {wide['mse']:.5f}), Fashion-MNIST"
    script = f"images.py reduction --codes 16 --epochs {own['epochs']}"
    return "dimensionality reduction", "isthmus encode DIR IMAGES --out codes.npy", number, script


def _features() -> tuple[str, str, str, str] | None:
    known = measured("reduction")
    pairs = [
        _newest_of(known, lambda line, m=m: line["method"] == m and line["code"] == 32) for m in ("vanilla", "pca")
    ]
    if None in pairs:
        return None
    own, pca = (line["accuracy"] for line in pairs if line)
    epochs = next(line["epochs"] for line in pairs if line)
    number = f"5-NN on 32 numbers {own:.1%} (PCA {pca:.1%}), Fashion-MNIST"
    return (
        "feature learning",
        "isthmus encode DIR IMAGES --out codes.npy",
        number,
        f"images.py reduction --epochs {epochs}",
    )


def _anomalies() -> tuple[str, str, str, str] | None:
    known = newest("anomaly", lambda line: [line[key] for key in ("part", "case", "method", "seed")])
    means = {method: _mean_auroc(known, method) for method in ("auto", "knn")}
    number = f"AUROC {means['auto']:.1f} (5-NN {means['knn']:.1f}), eight tables of ADBench"
    command = "isthmus fit vectors FILE --model auto --out DIR; isthmus anomalies DIR NEW"
    return "anomaly detection", command, number, "anomaly.py --part tables"


def _denoising() -> tuple[str, str, str, str] | None:
    line = _newest_of(newest("denoising", lambda line: line["sigma"]), lambda line: line["sigma"] == 25)
    if line is not None:
        number = f"{line['bsd68']['psnr']:.2f} dB at σ = 25 (BM3D 28.57, DnCNN 29.23, published), BSD68"
        return "image denoising", "isthmus denoise DIR NOISY --out CLEAN", number, "denoising.py --directory D"
    known = [line for line in measured("denoising") if line["noise"] == 0.25]
    if not known:
        return None
    best = max(line["psnr"] for line in known)
    number = f"{best:.2f} dB at σ = .25 (linear optimum 20.18), Fashion-MNIST"
    return "image denoising", "isthmus denoise DIR NOISY --out CLEAN", number, "images.py denoising"


def _generation() -> tuple[str, str, str, str] | None:
    own = [line for line in measured("generation") if line["measure"] == "nll" and line["method"] == "variational"]
    if not own:
        return None
    line = min(own, key=lambda line: float(line["nll"]))
    number = f"{line['nll']:.1f} nats an image, dynamically binarised Fashion-MNIST"
    return (
        "data generation",
        "isthmus sample DIR --out new.png",
        number,
        f"images.py generation --epochs {line['epochs']}",
    )


def _search() -> tuple[str, str, str, str] | None:
    line = _newest_of(newest("text_compression", lambda line: (line["method"], line["bytes"])), _small)
    if line is None:
        return None
    number = f"recall@10 {line['recall_at_10']:.3f} from 24 bytes a vector ({line['share']:.1%} of 1,536), captions"
    return "similarity search", "isthmus index build VECTORS --out DIR", number, "text_compression.py"


def _small(line: Line) -> bool:
    return bool(line["method"] == "ours" and line["bytes"] == 24)


def _nll(line: Line) -> float:
    return float(line["weighted_nll"])


def _newest_of(lines: list[Line], wanted: Callable[[Line], bool]) -> Line | None:
    return next((line for line in reversed(lines) if wanted(line)), None)


def _mean_auroc(lines: list[Line], method: str) -> float:
    values: dict[str, list[float]] = {}
    for line in lines:
        if line["part"] == "tables" and line["method"] == method:
            values.setdefault(line["case"], []).append(line["auroc"])
    return mean(mean(some) for some in values.values())
