"""What the folder of an index of several parts tells beside the parts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.errors import BundleError
from isthmus.reprs import counted

DOCUMENT = "sharded.json"
FORMAT = 1


@dataclass(frozen=True)
class Contents:
    """What was found out when the index was built.

    Attributes:
        recall: share of the true nearest neighbours that is found after merging; None if it was not measured.
        id_column: column of the ids in the table of vectors, if it was named.
    """

    recall: float | None = None
    id_column: str | None = None


def write_contents(folder: Path, contents: Contents, about: Sequence[dict[str, Any]]) -> None:
    """Write the document of an index.

    Args:
        folder: of the index.
        contents: what is known of the whole.
        about: what each part is.
    """
    document = {
        "format": FORMAT,
        "parts": len(about),
        "recall": contents.recall,
        "id_column": contents.id_column,
        "about": list(about),
    }
    (folder / DOCUMENT).write_text(json.dumps(document, default=str), encoding="utf-8")


def read_contents(folder: Path) -> tuple[Contents, int]:
    """The inverse of ``write_contents``, with the number of parts.

    Raises:
        BundleError: no such index, or one of a later format.
    """
    try:
        document = json.loads((folder / DOCUMENT).read_text(encoding="utf-8"))
        count, version = int(document["parts"]), int(document["format"])
        recall, column = document.get("recall"), document.get("id_column")
        found = Contents(None if recall is None else float(recall), None if column is None else str(column))
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{str(folder)!r} is no index of several parts ({error})") from error
    if version > FORMAT or count < 1:
        raise BundleError(f"{str(folder)!r} has format {version} and {count} parts", expected=f"format {FORMAT}")
    return found, count


def whole_info(parts: Sequence[dict[str, Any]], contents: Contents) -> dict[str, Any]:
    """``ShardedIndex.info`` from that of the parts."""
    first, kinds = parts[0], sorted({str(part["kind"]) for part in parts})
    shared = {key: first[key] for key in ("width", "metric", "ids", "target_recall", "k")}
    sums = {key: sum(part[key] for part in parts) for key in ("rows", "bytes", "frozen", "gone", "added")}
    return {
        **shared,
        **sums,
        "kind": ", ".join(kinds),
        "recall": contents.recall,
        "reason": f"{counted(len(parts), 'part')}, merged",
        "trials": [],
        "parts": list(parts),
    }
