"""The tables on vectors: sparse codes, anomalies and speed."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

from benchmarks.harness import Line, mark, markdown, newest

OURS = ("auto", "auto-robust", "isthmus")
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


def sparse_codes(lines: Sequence[Line]) -> list[str]:
    """Dead units and what is left unexplained, beside a plain TopK autoencoder."""
    known = newest(lines, lambda line: [line[key] for key in ("data", "method", "units", "rows", "epochs")])
    if not known:
        return []
    first = known[0]
    told = (
        f"{first['data']}, {first['units']:,} units, {first['epochs']} epochs; test rows. The reference is a plain "
        "TopK autoencoder after Gao et al. 2024."
    )
    rows = [
        (
            line["method"] + mark(line),
            f"{line['unexplained']:.4f}",
            f"{line['active_units']:.1f}",
            f"{line['dead_test']:.2%}",
        )
        for line in known
    ]
    return [told, "", *markdown(["method", "share of variance unexplained", "units a row", "dead units"], rows)]


def areas(lines: Sequence[Line]) -> list[str]:
    """Area under the ROC curve, one-class: tables of ADBench, classes of Fashion-MNIST."""
    known = newest(lines, lambda line: [line[key] for key in ("part", "case", "method", "seed")])
    plain = [line for line in known if line["part"] == "tables"]
    rows: list[str] = []
    for part, words in PARTS.items():
        mine = [line for line in known if line["part"] == part]
        if part == "duplicated":
            # The published protocol: tables with rows enough are as they are.
            small = {line["case"] for line in mine}
            mine += [line for line in plain if line["case"] not in small] if mine else []
        if mine:
            rows += [words, "", *_areas(mine, whole=part == "duplicated"), ""]
    return rows


def _areas(lines: Sequence[Line], *, whole: bool) -> list[str]:
    """A row a method; with ``whole`` only methods that were run on every case."""
    cases = sorted({line["case"] for line in lines}, key=_number)
    rows = []
    for method in dict.fromkeys(line["method"] for line in lines):
        found = [[line for line in lines if (line["case"], line["method"]) == (case, method)] for case in cases]
        if whole and not all(found):
            continue
        means = [mean(line["auroc"] for line in some) if some else None for some in found]
        cells = [
            "not run" if value is None else f"{value:.1f}" + mark(*some)
            for value, some in zip(means, found, strict=True)
        ]
        dirty = mark(*(line for some in found for line in some))
        average = f"{mean(value for value in means if value is not None):.2f}{dirty}" if all(found) else "–"
        rows.append([f"**`{method}`**" if method in OURS else method, average, *cells])
    return markdown(["method", "mean", *(case.split("_", 1)[-1] for case in cases)], rows)


def _number(case: str) -> tuple[int, str]:
    head = case.split("_", 1)[0]
    return (int(head) if head.isdigit() else 0, case)


def speeds(lines: Sequence[Line]) -> list[str]:
    """Rows per second of training."""
    known = newest(lines, lambda line: (line["data"], line["batch"], line["rows"]))
    if not known:
        return []
    first = known[0]
    told = (
        f"Rows per second on the processor, network W-64-32-64-W, {first['epochs']} epochs, "
        f"{first['runs']['isthmus'][0]['threads']} threads; in brackets the mean squared error of a held-out "
        "(standardised) number."
    )
    rows = []
    for line in known:
        speed, error, faster = line["rows_a_second"], line["errors"], line["times_faster"]
        rivals = [
            f"{speed[who]:,.0f} ({error[who]:.3f}), **{faster[who]:.1f}×**" if who in speed else "not run"
            for who in ("pyod", "pythae")
        ]
        shape = f"{line['data']}, {line['rows']:,} × {line['columns']}" + mark(line)
        mine = f"{speed['isthmus']:,.0f} ({error['isthmus']:.3f})"
        rows.append((shape, f"{line['batch']:,}", mine, *rivals))
    return [told, "", *markdown(["table", "batch", "isthmus", "PyOD 3.6.7", "pythae 0.1.2"], rows)]
