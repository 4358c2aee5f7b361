"""A report of the rows that were read, dropped and merged."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from isthmus.errors import FewRowsKeptWarning
from isthmus.reprs import brief, counted
from isthmus_interactions.files.threshold import LOUD


@brief
@dataclass(frozen=True)
class Report:
    """Numbers of rows that were read, dropped, merged and stored.

    Attributes:
        rows_read: rows of the table, or stored entries of the matrix.
        missing_ids: rows dropped because they lack a user or an item.
        filtered: rows that ``keep`` removed.
        zeros: rows of value 0 that were dropped because values are used as weights.
        duplicates: rows merged into another one of the same user and item.
        unknown_items: interactions dropped because their item is not in a vocabulary.
        untimed: rows dropped because they have no time in a named column of times.
        missing_words: texts that marked a missing user or item, such as NULL.
        keep: the applied rule, as for ``Interactions.read(keep=)``.
        why: the rule in words, and where it comes from.
        weights: content of a cell, as for ``Interactions.read(weights=)``; a given matrix keeps its values.
        columns: the named columns, by role: user, item, value, time.
        file: the given options of the file: encoding, delimiter, header.
    """

    rows_read: int
    missing_ids: int = 0
    filtered: int = 0
    zeros: int = 0
    duplicates: int = 0
    unknown_items: int = 0
    untimed: int = 0
    missing_words: tuple[str, ...] = ()
    keep: str = "all"
    why: str = "every row"
    weights: str = "binary"
    columns: Mapping[str, str] = field(default_factory=dict)
    file: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rows_kept(self) -> int:
        """The number of interactions that are stored."""
        dropped = self.missing_ids + self.untimed + self.filtered + self.zeros + self.duplicates + self.unknown_items
        return self.rows_read - dropped

    def text(self) -> str:
        """The whole report as one line of text."""
        words = ", ".join(self.missing_words)
        counts = [
            (self.missing_ids, f"without a user or an item{f' ({words})' if words else ''}"),
            (self.untimed, "without a time"),
            (self.filtered, "removed by the rule"),
            (self.zeros, "of value 0"),
            (self.duplicates, "merged as duplicates"),
            (self.unknown_items, "with unknown items"),
        ]
        losses = "".join(f", {count:,} {what}" for count, what in counts if count)
        return (
            f"{counted(self.rows_kept, 'interaction')} from {counted(self.rows_read, 'row')}; kept: {self.why}{losses}"
        )

    def tell(self, logger: logging.Logger, stacklevel: int = 2) -> None:
        """Log the report once, as a warning if ids or times are missing, otherwise as information; and issue a warning
        if the rule removes most rows.

        Args:
            logger: the logger.
            stacklevel: as for ``warnings.warn``.
        """
        level = logging.WARNING if self.missing_ids or self.untimed else logging.INFO
        logger.log(level, self.text())
        asked = self.rows_read - self.missing_ids - self.untimed
        if self.filtered > LOUD * asked:
            warnings.warn(
                f"the rule {self.keep!r} removed {self.filtered:,} of {asked:,} rows: kept are {self.why}; keep='all' "
                "(--keep all) takes every row",
                FewRowsKeptWarning,
                stacklevel=stacklevel + 1,
            )
