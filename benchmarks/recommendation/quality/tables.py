"""The tables of recommendation quality in the README: ours, the rivals' and what was published, split by split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.recommendation.quality.settings import METRICS
from benchmarks.result_lines import Line, finals, lines

TITLES: Mapping[str, str] = {
    "ml-1m-ultragcn": "ML-1M, split of UltraGCN",
    "ml-1m-infinite-ae": "ML-1M, split of ∞-AE",
    "ml-1m-diffrec": "ML-1M, split of DiffRec (clean, by time)",
    "ml-100k": "ML-100k, strong generalisation (seed 0, 93 test people)",
    "goodbooks": "goodbooks-10k sample, strong generalisation (seed 0, 266 test people)",
    "amazon-cds": "Amazon CDs, split of UltraGCN (35,648 items)",
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


def quality() -> list[str]:
    """All splits that have a line."""
    rows = [
        "Settings were chosen on validation data alone (at most eight a model and split, listed in the result lines), "
        "then fitted on everything known before the test; seed 0. `fit` is the time of the last fit, on one core of a "
        "busy machine. What others published is marked and was not run here. `auto` names no "
        "model: it has a budget and the metric of the split. Rivals that a table lacks were not run there.",
    ]
    for split in TITLES:
        table = _table(split)
        if table:
            rows += ["", f"**{TITLES[split]}**", "", *table, *_compared(split)]
    return rows


def _table(split: str) -> list[str]:
    metrics = METRICS[split]
    found = [
        (_ours(line), _values(line, metrics), line["fit_seconds"]) for line in finals("recommendation_quality", split)
    ]
    missing, slow = [], _slow(split)
    for line in finals("recommendation_rivals", split):
        name = _released(line["rival"])
        if line["rival"] in slow:
            # What one or two epochs give says nothing of a model.
            continue
        if line["outcome"] == "done":
            found.append((name + _cut_short(line), _values(line, metrics), line["cpu_seconds"]))
        else:
            missing.append(f"{name}: {line['outcome']}")
    missing += [
        f"{_released(rival)}: {spent:.0f} s of a core an epoch, so that 30 minutes are {1800 / spent:.0f} epochs"
        for rival, spent in slow.items()
    ]
    if not found:
        return []
    rows = [(name, values, _short(seconds)) for name, values, seconds in found]
    rows += [(name, values, "") for name, values in PUBLISHED.get(split, [])]
    head = [f"| model | {' | '.join(metrics)} | fit |", "|---" * (len(metrics) + 2) + "|"]
    ordered = sorted(rows, key=lambda row: -row[1][-1])
    body = [f"| {name} | {' | '.join(f'{one:.4f}' for one in values)} | {spent} |" for name, values, spent in ordered]
    return [*head, *body, *(["", "Not in the table: " + "; ".join(missing) + "."] if missing else [])]


def _slow(split: str) -> dict[str, float]:
    """Rivals that half an hour would not train, and the seconds of an epoch."""
    begun = {
        line["rival"]: line["cpu_seconds"] / line["epochs"]
        for line in lines("recommendation_rivals")
        if line["split"] == split and line["stage"] == "tuning" and line.get("stopped_by") == "clock"
    }
    return {rival: spent for rival, spent in begun.items() if 1800 / spent < FEWEST_EPOCHS}


def _released(rival: str) -> str:
    library, model = rival.split(" ", 1)
    return f"{model} of {RELEASES[library]}"


def _cut_short(final: Line) -> str:
    """Whether the number of epochs is what the clock allowed when the setting was chosen."""
    for line in lines("recommendation_rivals"):
        same = all(line[key] == final[key] for key in ("split", "rival", "setting"))
        if same and line["stage"] == "tuning" and line.get("stopped_by") == "clock":
            return f" (still improving after {line['training_minutes']:g} minutes of a core, {line['epochs']} epochs)"
    return ""


def _compared(split: str) -> list[str]:
    """The paired bootstrap, in a sentence each."""
    latest = {
        (line["ours"], line["metric"]): line for line in lines("recommendation_compare") if line["split"] == split
    }
    said = [
        f"`{_name(line['ours'])}` against {line['rival']}, {line['metric']}: {line['difference']:+.4f} "
        f"[{line['low']:+.4f}, {line['high']:+.4f}]"
        for line in latest.values()
    ]
    told = "Differences, with the 95 % interval of a paired bootstrap over people: " + "; ".join(said) + "."
    return ["", told] if said else []


def _ours(line: Line) -> str:
    name = f"**`{_name(line['model'])}`**"
    if line["model"] == "auto":
        minutes = line["setting"]["budget"] / 60
        return f"{name} with {minutes:.0f} minutes, which took `{_name(line['chosen'])}`"
    if line["model"] == "blend":
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
