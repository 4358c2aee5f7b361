"""The tables of recommendation quality: ours, the rivals' and what was published, split by split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.harness import Line, mark, markdown, newest
from benchmarks.recommendation.quality.settings import BLENDS, METRICS, NAMESAKES
from benchmarks.recommendation.quality.splits import DEMO

TITLES: Mapping[str, str] = {
    "ml-1m-ultragcn": "ML-1M, split of UltraGCN",
    "ml-1m-infinite-ae": "ML-1M, split of ∞-AE",
    "ml-1m-diffrec": "ML-1M, split of DiffRec (clean, by time)",
    "ml-100k": "ML-100k, strong generalisation (seed 0, 93 test people)",
    "goodbooks": "goodbooks-10k sample, strong generalisation (seed 0, 266 test people)",
    "amazon-cds": "Amazon CDs, split of UltraGCN (35,648 items)",
    DEMO: "a few of the bundled books",
}

PUBLISHED: Mapping[str, Sequence[tuple[str, tuple[float, ...]]]] = {
    "ml-1m-ultragcn": [("UltraGCN (published, Mao et al. 2021)", (0.2787, 0.2642))],
    "ml-1m-infinite-ae": [
        ("∞-AE (published, Sachdeva et al. 2022)", (0.3282,)),
        ("EASE (published there)", (0.2988,)),
        ("MVAE (published there)", (0.2214,)),
    ],
    "amazon-cds": [("UltraGCN (published, Mao et al. 2021)", (0.1622, 0.1043))],
}

FEWEST_EPOCHS = 30
"""A rival that half an hour does not bring this far is listed with what an epoch takes."""

RELEASES = {"recbole": "RecBole 1.2.1", "cornac": "Cornac 3.0.1", "implicit": "implicit 0.7.3"}


def of_splits(ours: Sequence[Line], rivals: Sequence[Line]) -> list[str]:
    """All splits that have a line."""
    rows = [
        "Settings were chosen on validation data only (at most eight per model and split, listed in the result lines); "
        "the models were then fitted on all data before the test; seed 0. `fit` is the time of the last fit, "
        "on one core of a busy machine. Published results of others are marked and were not run here. `auto` is "
        "only given a time limit and the metric of the split. Libraries missing from a table were not run there.",
    ]
    for split, title in TITLES.items():
        table = _table(split, ours, [line for line in rivals if line["split"] == split])
        if table:
            rows += ["", f"#### {title}", "", *table]
    return rows if len(rows) > 1 else []


def finals(lines: Sequence[Line], split: str) -> list[Line]:
    """The line of each model (``auto`` with each budget) or rival on a split, oldest first: fitted on everything known
    before the test, seed 0."""
    wanted = {"stage": "final", "split": split, "seed": 0}
    mine = [line for line in lines if all(line[key] == value for key, value in wanted.items())]
    found = newest(mine, lambda line: (line.get("model"), line.get("rival"), line["setting"].get("budget")))
    return sorted(found, key=lambda line: line["date"])


def _table(split: str, ours: Sequence[Line], rivals: Sequence[Line]) -> list[str]:
    metrics, slow = METRICS[split], slow_rivals(rivals)
    found = [
        (_ours(line) + mark(line), _values(line, metrics), _short(line["fit_seconds"])) for line in finals(ours, split)
    ]
    # What one or two epochs give says nothing of a model.
    found += [
        (
            released(line["rival"]) + _cut_short(line, rivals) + mark(line),
            _values(line, metrics),
            _short(line["cpu_seconds"]),
        )
        for line in finals(rivals, split)
        if line["rival"] not in slow and line["outcome"] == "done"
    ]
    if not found:
        return []
    found += [(name, values, "") for name, values in PUBLISHED.get(split, [])]
    ordered = sorted(found, key=lambda row: -row[1][-1])
    rows = [(name, *(f"{one:.4f}" for one in values), spent) for name, values, spent in ordered]
    return markdown(["model", *metrics, "fit"], rows)


def slow_rivals(rivals: Sequence[Line]) -> dict[str, float]:
    """Rivals of one split that half an hour would not train, and the seconds of an epoch."""
    begun = {
        line["rival"]: line["cpu_seconds"] / line["epochs"]
        for line in rivals
        if line["stage"] == "tuning" and line.get("stopped_by") == "clock"
    }
    return {rival: spent for rival, spent in begun.items() if 1800 / spent < FEWEST_EPOCHS}


def of_rivals(lines: Sequence[Line]) -> list[str]:
    """What did not run, and why; how much memory the others took."""
    rows = []
    for split, title in TITLES.items():
        mine = [line for line in lines if line["split"] == split]
        slow = slow_rivals(mine)
        # What did not get through one setting has no final.
        ended = {line["rival"]: line for line in [*mine, *finals(mine, split)]}
        for name, line in ended.items():
            outcome = line["outcome"]
            if name in slow:
                outcome = (
                    f"{slow[name]:.0f} s of a core an epoch, so that 30 minutes are {1800 / slow[name]:.0f} epochs"
                )
            memory = f"{line['peak_gib']:.1f} GiB" if "peak_gib" in line else ""
            rows.append((title, released(name) + mark(line), outcome, memory))
    return markdown(["split", "rival", "outcome", "peak memory"], rows) if rows else []


def of_differences(lines: Sequence[Line]) -> list[str]:
    """The paired bootstrap, a row for each metric."""
    rows = [
        (
            TITLES[line["split"]],
            f"`{_name(line['ours'])}` against {line['rival']}" + mark(line),
            line["metric"],
            " and ".join(f"{one:.4f}" for one in line["means"]),
            f"{line['difference']:+.4f} [{line['low']:+.4f}, {line['high']:+.4f}]",
        )
        for line in newest(lines, _comparison)
    ]
    told = "With the 95 % interval of the mean over resampled users; positive values mean that ours ranks better."
    return [told, "", *markdown(["split", "models", "metric", "means", "difference"], rows)] if rows else []


def _comparison(line: Line) -> list[str]:
    """What a comparison is of: a network and one rival of its name, or the best of ours and whoever else is best."""
    rival = [line["rival"]] if line["ours"] in NAMESAKES else []
    return [line["split"], line["ours"], *rival, line["metric"]]


def released(rival: str) -> str:
    """Model and release of a rival."""
    library, model = rival.split(" ", 1)
    return f"{model} of {RELEASES[library]}"


def _cut_short(final: Line, rivals: Sequence[Line]) -> str:
    """Whether the number of epochs is what the clock allowed when the setting was chosen."""
    for line in rivals:
        same = line["rival"] == final["rival"] and line["setting"] == final["setting"]
        if same and line["stage"] == "tuning" and line.get("stopped_by") == "clock":
            return f" (still improving after {line['training_minutes']:g} minutes of a core, {line['epochs']} epochs)"
    return ""


def _ours(line: Line) -> str:
    name = f"**`{_name(line['model'])}`**"
    if line["model"] == "auto":
        minutes = line["setting"]["budget"] / 60
        return f"{name} with {minutes:.0f} minutes, which took `{_name(line['chosen'])}`"
    if line["model"] in BLENDS:
        shares = {key.removeprefix("share of "): value for key, value in line.items() if key.startswith("share of ")}
        told = ", ".join(f"{_name(part)} {share:.0%}" for part, share in shares.items())
        return f"{name} ({told})"
    return name


def _name(model: str) -> str:
    return model.replace("_", "-")


def _values(line: Line, metrics: Sequence[str]) -> tuple[float, ...]:
    return tuple(line["metrics"][metric] for metric in metrics)


def _short(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
