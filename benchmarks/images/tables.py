"""The tables on images; a part without lines is left out."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.harness import Line, mark, markdown, newest, processor_kind

NO_REDUCTION = "–"


def parts(lines: Sequence[Line]) -> list[str]:
    """Everything of Fashion-MNIST."""
    made = {
        "Dimensionality reduction": _reduction(measured(lines, "reduction")),
        "Denoising": _cleaning(measured(lines, "denoising")),
        "New images": _generation(measured(lines, "generation")),
    }
    return [row for title, rows in made.items() if rows for row in (f"#### {title}", "", *rows, "")]


def _reduction(known: Sequence[Line]) -> list[str]:
    """Error and neighbours of codes, beside principal components of as many numbers."""
    if not known:
        return []
    sizes = sorted({line["code"] for line in known})
    own = [line for line in known if line["method"] == "vanilla"]
    by_name = {"PCA": [line for line in known if line["method"] == "pca"]}
    by_name |= {
        f"**`vanilla`**, {epochs} epochs": [line for line in own if line["epochs"] == epochs]
        for epochs in sorted({line["epochs"] for line in own})
    }
    rows = []
    for name, mine in by_name.items():
        coded = {line["code"]: line for line in mine}
        rows.append([name, *(_coded(coded.get(size)) for size in sizes)])
    told = (
        "60,000 training and 10,000 test images, pixels from 0 to 1: squared error per pixel, and how often five "
        "neighbours know the label (both on test images)."
    )
    return [told, "", *markdown(["", *(f"{size} numbers" for size in sizes)], rows)]


LINEAR = {0.1: 24.47, 0.25: 20.18, 0.5: 17.73}
"""dB of the linear optimum, by σ."""


def _cleaning(known: Sequence[Line]) -> list[str]:
    """Noise taken away, beside the linear optimum."""
    if not known:
        return []
    noisy = {line["noise"]: f"{line['noisy_psnr']:.2f}" for line in known}
    rows = [
        ["noisy", *(noisy.get(noise, "not run") for noise in LINEAR)],
        ["linear optimum", *(f"{value:.2f}" for value in LINEAR.values())],
    ]
    for method in dict.fromkeys(line["method"] for line in known):
        own = {line["noise"]: f"{line['psnr']:.2f}" + mark(line) for line in known if line["method"] == method}
        rows.append([f"**`{method.replace('_', '-')}`**", *(own.get(noise, "not run") for noise in LINEAR)])
    told = (
        f"Gaussian noise, dB, 10,000 test images, {known[0]['settings']['epochs']} epochs. The linear optimum knows "
        "mean, covariance and σ."
    )
    return [told, "", *markdown(["model", *(f"σ = {noise:g}" for noise in LINEAR)], rows)]


SETS = {"bsd68": "BSD68", "set12": "Set12"}


WAYS = {
    "blind": "",
    "told": ", told the level",
    "estimated": ", level estimated",
    "eightfold": ", told, mean of eight ways to turn the image",
}


def photographs(known: Sequence[Line]) -> list[str]:
    """Photographs beside what is published."""
    lines = [{"model": "residual-denoiser", "way": "blind", **line} for line in known if "validated" not in line]
    by_row: dict[tuple[str, str], dict[int, Line]] = {}
    for line in newest(lines, lambda line: [line["model"], line["way"], line["sigma"]]):
        by_row.setdefault((line["model"], line["way"]), {})[line["sigma"]] = line
    if not by_row:
        return []
    any_row = next(iter(by_row.values()))
    parts = [(name, sigma) for name in SETS for sigma in sorted(any_row)]
    rows = [["noisy", *(f"{any_row[sigma][name]['noisy']:.2f}" for name, sigma in parts)]]
    for bar in ("BM3D", "DnCNN-B", "DnCNN-S"):
        found = [any_row[sigma][f"{name}_published"].get(bar) for name, sigma in parts]
        rows.append([f"{bar}, published", *("–" if one is None else f"{one:.2f}" for one in found)])
    for (model, way), own in sorted(by_row.items(), key=lambda row: (row[0][0], list(WAYS).index(row[0][1]))):
        cells = [f"{own[sigma][name]['psnr']:.2f}" + mark(own[sigma]) if sigma in own else "–" for name, sigma in parts]
        rows.append([f"**`{model}`**{WAYS[way]}", *cells])
    spent = {model: _spent(next(iter(own.values()))) for (model, _), own in by_row.items()}
    told = (
        f"dB: one network for all levels, trained on Train400 in {'; '.join(spent.values())}. DnCNN-B is not told the "
        "level, DnCNN-S is a network for each."
    )
    return [told, "", *markdown(["", *(f"{SETS[name]}, σ = {sigma}" for name, sigma in parts)], rows)]


def _spent(line: Line) -> str:
    """Hours, processor and plan of a training."""
    hours = f"{line['hours']:.2f} hours of one core"
    if "cpu_hours_of_each" in line:
        hours = f"{line['cpu_hours_of_each']:.2f} hours of one core within {line['hours']:.2f} hours"
    return (
        f"{hours} ({processor_kind(line)}; `{line['model']}`, {line['epochs_done']} of "
        f"{line['settings']['epochs']} epochs of {line['crops']:,} crops)"
    )


def _generation(known: Sequence[Line]) -> list[str]:
    """Likelihoods and distances of samples."""
    distances = [line for line in known if line["measure"] == "frechet"]
    rows = _likelihoods([line for line in known if line["measure"] == "nll"])
    if not distances:
        return rows
    first = distances[0]
    told = (
        "Fréchet distance of 10,000 samples from the test images, in the features of a small classifier (test "
        f"accuracy {first['accuracy_of_the_classifier']:.1%}); training images are "
        f"{first['frechet_of_training_images']:.2f} away. Lower is better; it compares with nothing elsewhere. "
        f"{first['settings']['code']} numbers, {first['settings']['epochs']} epochs; the models of pythae 0.1.2 have "
        "the same layers and a mixture of 10 normal distributions, too."
    )
    cells = [
        (_drawing(line), line["prior"], f"{line['frechet']:.2f}", f"{line['frechet_of_reconstructions']:.2f}")
        for line in sorted(distances, key=lambda line: float(line["frechet"]))
    ]
    return [*rows, told, "", *markdown(["model", "samples from", "distance", "of reconstructions"], cells)]


def _likelihoods(known: Sequence[Line]) -> list[str]:
    if not known:
        return []
    first = known[0]
    told = (
        f"Dynamically binarised: nats per image ({first['samples']} importance samples, "
        f"{first['asked']:,} test images; {first['code']} numbers, {first['epochs']} epochs). Lower is better."
    )
    rows = [
        (_model(line), line["drawn"], f"{line['nll']:.2f} ± {line['standard_error']:.2f}")
        for line in sorted(known, key=lambda line: float(line["nll"]))
    ]
    return [told, "", *markdown(["model", "samples in training", "−log p"], rows), ""]


def _drawing(line: Line) -> str:
    """The model, and the likelihood of its pixels if it is not the usual one."""
    likelihood = line["settings"].get("likelihood")
    return _model(line) + (f", {likelihood}" if likelihood else "")


def _model(line: Line) -> str:
    """Ours stand out."""
    name = line["method"] if line["method"].startswith("pythae") else f"**`{line['method']}`**"
    return name + mark(line)


def measured(lines: Sequence[Line], part: str) -> list[Line]:
    """The last line of every question of a part, on the test images."""
    keys = ("part", "method", "code", "epochs", "measure", "prior", "noise", "drawn")
    mine = [line for line in lines if line["part"] == part and not line.get("validated")]
    return newest(mine, lambda line: [line.get(key) for key in keys])


def _coded(line: Line | None) -> str:
    return NO_REDUCTION if line is None else f"{line['mse']:.5f}, {line['accuracy']:.1%}" + mark(line)
