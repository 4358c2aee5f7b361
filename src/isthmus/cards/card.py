"""The text of a card, from a manifest and what a face says of its bundles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from isthmus import plugins
from isthmus.bundle.manifest import CARD, DOCUMENTS, Manifest, peek
from isthmus.cards.front_matter import front_matter
from isthmus.cards.scores import Measured, Score
from isthmus.cards.words import CardWords
from isthmus.checked.arguments import flag
from isthmus.disk import steadily, written
from isthmus.errors import IsthmusError
from isthmus.models.recipes.description import described
from isthmus.reprs import number, one_line

LIBRARY = "isthmus"
MOST_SETTING = 200
"""Number of characters of a setting that are shown."""


def card_text(
    manifest: Manifest,
    documents: Mapping[str, str],
    words: CardWords,
    *,
    measured: Sequence[Measured] = (),
    license: str | None = None,
) -> str:
    """The text of ``README.md``: YAML that the Hugging Face hub reads, and Markdown that people read.

    Args:
        manifest: of the bundle.
        documents: its documents by name.
        words: what its face says.
        measured: scores on further data sets, which the bundle does not know.
        license: identifier of the hub, such as ``mit``; None says nothing, which is left to whoever publishes it.

    Returns:
        Markdown. It holds numbers of records and no record, id or title.
    """
    own = words.measured(manifest.facts)
    scores = [*measured, *([] if own is None else [own])]
    name = plugins.command_name(manifest.builder)
    parts = [f"# {name}: {words.kind}\n", *_about(manifest, words)]
    parts += _section("Data", _table(("", ""), _sizes(manifest.facts, words)))
    parts += _section("How good it is", [*_scores(scores), *_warnings(manifest.facts)])
    for heading, text in words.sections(manifest.facts, documents).items():
        parts += _section(heading, [f"{text}\n"])
    parts += _section("Settings", _table(("setting", "value"), _settings(manifest.settings)))
    parts += _section("Training", _table(("", ""), _training(manifest)))
    parts += _section("Load it", _loading(words))
    return front_matter(_metadata(name, words, scores, license)) + "\n" + "\n".join(parts)


def card_maker(words: CardWords, documents: Mapping[str, str], wanted: bool = True) -> Callable[[Manifest], str] | None:
    """What ``isthmus.bundle.write`` takes as its argument ``card``.

    Args:
        words: what the face says.
        documents: of the bundle, by name.
        wanted: whether a card is wanted at all.

    Returns:
        A function that makes the text, or None.

    Raises:
        SettingError: ``wanted`` is neither True nor False.
    """
    return partial(card_text, documents=documents, words=words) if flag("card", wanted) else None


def card_of(
    path: str | Path, words: CardWords, *, measured: Sequence[Measured] = (), license: str | None = None
) -> str:
    """The card of a saved bundle, from its manifest and documents; what it verifies otherwise is not read.

    Args:
        path: path of the bundle.
        words: what its face says.
        measured, license: as for ``card_text``.

    Returns:
        The text.

    Raises:
        BundleError: no bundle there, or one whose manifest is damaged.
    """
    manifest, documents = steadily(path, _described)
    return card_text(manifest, documents, words, measured=measured, license=license)


def write_card(path: str | Path, text: str) -> Path:
    """Write the card of a bundle; an older one is replaced.

    Args:
        path: path of the bundle.
        text: of the card.

    Returns:
        Where it is.

    Raises:
        BundleError: no bundle there.
        OSError: it may not be written there.
    """
    peek(path)
    place = Path(path) / CARD
    with written(place) as file:
        file.write(text.encode())
    return place


def _described(directory: Path) -> tuple[Manifest, dict[str, str]]:
    manifest = peek(directory)
    members = (name for name in manifest.files if name.startswith(f"{DOCUMENTS}/"))
    documents = {name: directory / name for name in members}
    read = {name.partition("/")[2]: place.read_bytes().decode("utf-8", "replace") for name, place in documents.items()}
    return manifest, read


def _metadata(name: str, words: CardWords, scores: Sequence[Measured], license: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {} if license is None else {"license": license}
    found |= {"library_name": LIBRARY, "pipeline_tag": words.task, "tags": [LIBRARY, name, *words.tags]}
    if scores:
        found["model-index"] = [{"name": name, "results": [_result(words, one) for one in scores]}]
    return found


def _result(words: CardWords, one: Measured) -> dict[str, Any]:
    metrics = [{"type": score.name, "value": score.value, "name": score.name} for score in one.scores]
    task = {"type": words.task, "name": words.kind.partition(" ")[2]}
    return {"task": task, "dataset": {"type": "custom", "name": one.data}, "metrics": metrics}


def _about(manifest: Manifest, words: CardWords) -> Iterator[str]:
    yield " ".join(filter(None, [words.about, *_model(manifest)])) + "\n"


def _model(manifest: Manifest) -> list[str]:
    """What the builder says of the model; nothing if it is not known here."""
    try:
        _, builder = plugins.find_builder(manifest.builder, manifest.plugin)
    except IsthmusError:
        return []
    said = described(manifest.builder, builder, (manifest.plugin,))
    return [f"The model: {said.about.rstrip('.')}" + (f" ({said.paper})." if said.paper else ".")]


def _sizes(facts: Mapping[str, Any], words: CardWords) -> list[tuple[str, str]]:
    counts = [(said, facts.get(name)) for name, said in words.sizes.items()]
    return [(said, f"{count:,}") for said, count in counts if isinstance(count, int) and not isinstance(count, bool)]


def _scores(scores: Sequence[Measured]) -> list[str]:
    if not scores:
        return ["No records were held out, so nothing was measured.\n"]
    lines = []
    for one in scores:
        popular = any(score.popularity is not None for score in one.scores)
        count = "" if one.records is None else f" ({one.records:,})"
        lines.append(f"On {one.data}{count}:\n")
        columns = ("metric", "value", "95 % interval", *(("popularity",) if popular else ()))
        lines += _table(columns, [_row(score, popular) for score in one.scores])
        lines += [" ".join(one.remarks) + "\n"] if one.remarks else []
    return lines


def _row(score: Score, popular: bool) -> tuple[str, ...]:
    interval = score.interval
    between = "" if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}"
    beside = "" if score.popularity is None else number(score.popularity)
    return (score.name, number(score.value), between, *((beside,) if popular else ()))


def _warnings(facts: Mapping[str, Any]) -> list[str]:
    warned = facts.get("warnings")
    return [f"- Warning: {one_line(one, 500)}\n" for one in warned] if isinstance(warned, list) else []


def _settings(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(f"`{name}`", one_line(value, MOST_SETTING)) for name, value in settings.items()]


def _training(manifest: Manifest) -> list[tuple[str, str]]:
    facts, rows = manifest.facts, [("created", manifest.created)]
    rows.append(("written by", ", ".join(f"{name} {version}" for name, version in manifest.versions.items())))
    course = facts.get("training")
    if isinstance(course, dict) and isinstance(course.get("records"), list):
        rows.append(("epochs", f"{len(course['records']):,}"))
        rows += [("best epoch", str(course["best_epoch"]))] if course.get("best_epoch") is not None else []
    return rows + ([("seed", str(facts["seed"]))] if "seed" in facts else [])


def _loading(words: CardWords) -> list[str]:
    lines = ["import isthmus", "", 'model = isthmus.load("the path of this folder")', *words.example]
    said = "Loading verifies the size and SHA-256 of every file but this card, and executes nothing.\n"
    return ["```python", *lines, "```", "", said]


def _section(heading: str, lines: Sequence[str]) -> list[str]:
    return [f"## {heading}\n", *lines] if lines else []


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    found = [f"| {' | '.join(map(_cell, row))} |" for row in rows]
    return [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}", *found, ""] if found else []


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|")
