"""The tables on images, sparse codes and anomalies in the README; a section without lines is left out."""

from __future__ import annotations

from statistics import mean

from benchmarks.result_lines import Line, newest

NO_REDUCTION = "–"
OURS = ("auto", "auto-robust", "isthmus")


def reduction() -> list[str]:
    """Error and neighbours of codes, beside principal components of as many numbers."""
    known = measured("reduction")
    if not known:
        return []
    sizes = sorted({line["code"] for line in known})
    rows = [
        "Fashion-MNIST, 60,000 training and 10,000 test images, pixels from 0 to 1: squared error a pixel, and how "
        "often five neighbours know the label (both on test images).",
        "",
        f"| | {' | '.join(f'{size} numbers' for size in sizes)} |",
        f"|---|{'---|' * len(sizes)}",
    ]
    pca = {line["code"]: line for line in known if line["method"] == "pca"}
    rows.append(f"| PCA | {' | '.join(_coded(pca.get(size)) for size in sizes)} |")
    for epochs in sorted({line["epochs"] for line in known if line["method"] == "vanilla"}):
        own = {line["code"]: line for line in known if line["method"] == "vanilla" and line["epochs"] == epochs}
        rows.append(f"| **`vanilla`**, {epochs} epochs | {' | '.join(_coded(own.get(size)) for size in sizes)} |")
    return rows


def cleaning() -> list[str]:
    """Noise taken away: Fashion-MNIST beside the linear optimum, photographs beside what is published."""
    small = measured("denoising")
    large = {line["sigma"]: line for line in newest("denoising", lambda line: line["sigma"]) if not line["tiny"]}
    rows: list[str] = []
    if small:
        linear = {0.1: 24.47, 0.25: 20.18, 0.5: 17.73}
        noisy = {line["noise"]: f"{line['noisy_psnr']:.2f}" for line in small}
        rows += [
            f"Fashion-MNIST, Gaussian noise, dB, 10,000 test images, {small[0]['settings']['epochs']} epochs. The "
            "linear optimum knows mean, covariance and σ.",
            "",
            "| model | σ = .1 | σ = .25 | σ = .5 |",
            "|---|---|---|---|",
            f"| noisy | {' | '.join(noisy.get(noise, 'not run') for noise in linear)} |",
            f"| linear optimum | {' | '.join(f'{value:.2f}' for value in linear.values())} |",
        ]
        for method in dict.fromkeys(line["method"] for line in small):
            own = {line["noise"]: line["psnr"] for line in small if line["method"] == method}
            cells = [f"{own[noise]:.2f}" if noise in own else "not run" for noise in linear]
            rows.append(f"| **`{method.replace('_', '-')}`** | {' | '.join(cells)} |")
        rows.append("")
    if large:
        rows += _photographs(large)
    return rows


def _photographs(lines: dict[int, Line]) -> list[str]:
    first = next(iter(lines.values()))
    rows = [
        f"Photographs, dB: one network for all levels, learnt from Train400 in {first['hours']:.2f} hours on a shared "
        f"core ({first['epochs_done']} of {first['settings']['epochs']} epochs of {first['crops']:,} crops).",
        "",
        "| | BSD68, σ = 15 | 25 | 50 | Set12, σ = 15 | 25 | 50 |",
        "|---|---|---|---|---|---|---|",
    ]
    parts = [(name, sigma) for name in ("bsd68", "set12") for sigma in sorted(lines)]
    noisy = [lines[sigma][name]["noisy"] for name, sigma in parts]
    rows.append(f"| noisy | {' | '.join(f'{one:.2f}' for one in noisy)} |")
    for bar in ("BM3D", "DnCNN-B", "DnCNN-S"):
        found = [lines[sigma][f"{name}_published"].get(bar) for name, sigma in parts]
        rows.append(f"| {bar}, published | {' | '.join('–' if one is None else f'{one:.2f}' for one in found)} |")
    ours = " | ".join(f"{lines[sigma][name]['psnr']:.2f}" for name, sigma in parts)
    return [*rows, f"| **`residual-denoiser`** | {ours} |"]


def generation() -> list[str]:
    """Likelihoods and distances of samples."""
    known = measured("generation")
    distances = [line for line in known if line["measure"] == "frechet"]
    rows = _likelihoods([line for line in known if line["measure"] == "nll"])
    if distances:
        rows += [
            "Fréchet distance of 10,000 samples from the test images, in the features of a small classifier (test "
            f"accuracy {distances[0]['accuracy_of_the_classifier']:.1%}); training images are "
            f"{distances[0]['frechet_of_training_images']:.2f} away. Lower is better; it compares with nothing "
            f"elsewhere. {distances[0]['settings']['code']} numbers, {distances[0]['settings']['epochs']} epochs; the "
            "models of pythae 0.1.2 have the same layers.",
            "",
            "| model | samples from | distance | of reconstructions |",
            "|---|---|---|---|",
        ]
    return rows + [
        f"| {_model(line)} | {line['prior']} | {line['frechet']:.2f} | {line['frechet_of_reconstructions']:.2f} |"
        for line in sorted(distances, key=lambda line: float(line["frechet"]))
    ]


def _likelihoods(known: list[Line]) -> list[str]:
    if not known:
        return []
    first = known[0]
    rows = [
        f"Fashion-MNIST, dynamically binarised: nats an image ({first['samples']} importance samples, "
        f"{first['asked']:,} test images; {first['code']} numbers, {first['epochs']} epochs). Lower is better.",
        "",
        "| model | samples in training | −log p |",
        "|---|---|---|",
    ]
    rows += [
        f"| {_model(line)} | {line['drawn']} | {line['nll']:.2f} ± {line['standard_error']:.2f} |"
        for line in sorted(known, key=lambda line: float(line["nll"]))
    ]
    return [*rows, ""]


def _model(line: Line) -> str:
    """Ours stand out."""
    return line["method"] if line["method"].startswith("pythae") else f"**`{line['method']}`**"


def sparse_codes() -> list[str]:
    """Dead units and what is left unexplained, beside a plain TopK autoencoder."""
    known = newest("sparse", lambda line: [line[key] for key in ("data", "method", "units", "rows", "epochs")])
    if not known:
        return []
    first = known[0]
    rows = [
        f"{first['data']}, {first['units']:,} units, {first['epochs']} epochs; test rows. The reference is a plain "
        "TopK autoencoder after Gao et al. 2024.",
        "",
        "| method | share of variance unexplained | units a row | dead units |",
        "|---|---|---|---|",
    ]
    return rows + [
        f"| {line['method']} | {line['unexplained']:.4f} | {line['active_units']:.1f} | {line['dead_test']:.2%} |"
        for line in known
    ]


def strange_rows() -> list[str]:
    """Area under the ROC curve, one-class: tables of ADBench, classes of Fashion-MNIST."""
    known = newest("anomaly", lambda line: [line[key] for key in ("part", "case", "method", "seed")])
    plain = [line for line in known if line["part"] == "tables"]
    rows: list[str] = []
    for part, words in PARTS.items():
        mine = [line for line in known if line["part"] == part]
        if not mine:
            continue
        rows += [""] if rows else []
        if part == "duplicated":
            # The published protocol: tables with rows enough are as they are.
            small = {line["case"] for line in mine}
            mine += [line for line in plain if line["case"] not in small]
        cases = sorted({line["case"] for line in mine}, key=_number)
        short = [case.split("_", 1)[-1] for case in cases]
        rows += [words, "", f"| method | mean | {' | '.join(short)} |", f"|---|---|{'---|' * len(cases)}"]
        for method in dict.fromkeys(line["method"] for line in mine):
            values = [_auroc(mine, case, method) for case in cases]
            whole = [value for value in values if value is not None]
            if part == "duplicated" and len(whole) < len(cases):
                continue
            cells = ["not run" if value is None else f"{value:.1f}" for value in values]
            average = f"{mean(whole):.2f}" if len(whole) == len(cases) else "–"
            rows.append(f"| {f'**`{method}`**' if method in OURS else method} | {average} | {' | '.join(cells)} |")
    return rows


def _number(case: str) -> tuple[int, str]:
    head = case.split("_", 1)[0]
    return (int(head) if head.isdigit() else 0, case)


PARTS = {
    "tables": "Eight tables of ADBench, one-class: the first half of the normal rows trains. Area under the ROC curve, "
    "per cent, mean of seeds 0 to 4; detectors of PyOD 3.6.7 as they come, on standardised columns.",
    "duplicated": "The same with tables of fewer than 1,000 rows first drawn to 1,000 with replacement, as in the "
    "code behind the published means (k-NN 86.4, DTE-NP 86.6, PyOD's VAE 82.4), which mix both:"
    " most test rows have a "
    "twin in training there.",
    "images": "Fashion-MNIST, one class trains, the test images of all ten are asked. Published means: GeoTrans "
    "93.5, ARNet 93.9.",
}


def _auroc(lines: list[Line], case: str, method: str) -> float | None:
    found = [line["auroc"] for line in lines if line["case"] == case and line["method"] == method]
    return mean(found) if found else None


def measured(part: str) -> list[Line]:
    """The last line of every question of a part of images.py."""
    keys = ("part", "method", "code", "epochs", "measure", "prior", "noise", "drawn")
    known = newest("images", lambda line: [line.get(key) for key in keys])
    return [line for line in known if line["part"] == part]


def _coded(line: Line | None) -> str:
    return NO_REDUCTION if line is None else f"{line['mse']:.5f}, {line['accuracy']:.1%}"
