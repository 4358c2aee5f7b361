"""The report on a recommender: scores, slices and checks, as tables, as a document and as a page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import pyarrow as pa

from isthmus.checked.arguments import path_of
from isthmus.disk import written
from isthmus.errors import InputError
from isthmus.plots import Panel
from isthmus.reprs import counted, described
from isthmus_interactions.report.checks import Check

Rows = Sequence[Mapping[str, Any]]

ENDINGS = (".html", ".htm", ".json")


@dataclass(frozen=True, eq=False, repr=False)
class QualityReport:
    """Results of a test of a recommender.

    Attributes:
        facts: the model, the training data and the test; JSON values.
        protocol: how histories and items to find were chosen.
        remarks: what was left out.
        checks: results of the checks; faults first.
        scores: a row for the model and for each baseline, with 95 % intervals of means over users; higher is better.
        users: the same by the length of the history.
        items: recall by the popularity of the items to find.
        panels: pictures.
        calibration: predicted and observed hit probabilities, if the bundle has a calibration.
    """

    facts: Mapping[str, Any]
    protocol: str
    remarks: Sequence[str]
    checks: Sequence[Check]
    scores: Rows
    users: Rows
    items: Rows
    panels: Sequence[Panel]
    calibration: Rows = ()

    def __repr__(self) -> str:
        return described(self, f"{self.facts['model']} on {counted(self.facts['users'], 'user')}, {self.verdict}")

    def __str__(self) -> str:
        return "\n".join(f"{check.level:<5}  {check.name}: {check.text}" for check in self.checks)

    @property
    def faults(self) -> list[Check]:
        """The checks that found a fault."""
        return [check for check in self.checks if check.level == "fault"]

    @property
    def verdict(self) -> str:
        """The number of faults in words."""
        return counted(len(self.faults), "fault") if self.faults else "no fault"

    @property
    def tables(self) -> dict[str, pa.Table]:
        """``scores``, ``users``, ``items``, ``checks``, and ``calibration`` if there is one, as Arrow tables."""
        parts: dict[str, Rows] = {"scores": self.scores, "users": self.users, "items": self.items}
        parts["checks"] = [{"name": one.name, "level": one.level, "text": one.text} for one in self.checks]
        if self.calibration:
            parts["calibration"] = self.calibration
        return {name: pa.Table.from_pylist([dict(row) for row in rows]) for name, rows in parts.items()}

    def document(self) -> dict[str, Any]:
        """Everything as JSON values."""
        return {
            **self.facts,
            "protocol": self.protocol,
            "remarks": list(self.remarks),
            "checks": [{"name": one.name, "level": one.level, "text": one.text, **one.numbers} for one in self.checks],
            "scores": list(self.scores),
            "users_by_history": list(self.users),
            "items_by_popularity": list(self.items),
            "calibration": list(self.calibration),
        }

    def html(self) -> str:
        """One page that needs no other file; pictures are in it if Matplotlib is installed (extra ``plot``)."""
        from isthmus_interactions.report.page import page

        tables = {
            "Scores": self.scores,
            "By users: few, some and many interactions": self.users,
            "By items: popular, medium, rare and new ones": self.items,
        }
        if self.calibration:
            tables["Promised and real chances of a hit"] = self.calibration
        return page(tables, self.panels, report=self)

    def save(self, path: str | Path) -> Path:
        """Write the page (``.html``) or the document (``.json``), completely or not at all.

        Args:
            path: path of the file; an older one is replaced.

        Returns:
            The path.

        Raises:
            InputError: another extension, or the path is not writable.
        """
        path = path_of("path", path)
        check_ending(path)
        text = json.dumps(self.document(), indent=2, ensure_ascii=False) if path.suffix == ".json" else self.html()
        with written(path) as file:
            file.write(text.encode("utf-8"))
        return path

    def _repr_html_(self) -> str:
        # In a frame, because the page has styles of its own.
        return f'<iframe srcdoc="{escape(self.html())}" style="width: 100%; height: 40rem; border: 0"></iframe>'


def check_ending(path: Path) -> None:
    """Check the name of a report.

    Raises:
        InputError: it does not end in .html or .json.
    """
    if path.suffix.lower() not in ENDINGS:
        raise InputError(f"a report named {path.name!r}", expected="a name that ends in .html or .json")
