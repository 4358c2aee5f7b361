"""Reads further data for a recommender with the options of its training data."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Unpack

from scipy.sparse import issparse

from isthmus.errors import ColumnError
from isthmus.files import told_in
from isthmus_interactions.files.assemble import assemble
from isthmus_interactions.files.columns import is_column, said
from isthmus_interactions.files.read import read_events_of
from isthmus_interactions.files.reading import ROLES, Reading, Weights, columns_told
from isthmus_interactions.files.tables import open_table
from isthmus_interactions.files.threshold import parse_keep
from isthmus_interactions.fitted import FittedRecommender
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.store.store import InteractionStore, is_store

logger = logging.getLogger(__name__)


def read_like(
    old: FittedRecommender, source: object, *, timed: bool | None = None, **reading: Unpack[Reading]
) -> Interactions:
    """Read interactions with the columns, the rule and the weights of the training data of a recommender.

    Args:
        old: the recommender that the data are for.
        source: anything that ``Interactions.read`` accepts; interactions are returned unchanged.
        timed: whether times are read; by default if those of ``old`` are known, or a column of times is named.
        reading: options that differ; see ``Interactions.read``. A column of the training data that is missing here is
            searched for under the usual names. Without values every row counts in spite of the remembered rule, and so
            does every entry of a matrix.

    Returns:
        The new interactions, over their own vocabularies.

    Raises:
        SettingError: options for interactions that are already read.
        InputError: the errors of ``Interactions.read``.
    """
    if isinstance(source, Interactions | InteractionStore) or is_store(source):
        return Interactions.read(source, **reading)
    given = {name: value for name, value in reading.items() if value is not None}
    said_now = told_in(given)
    weights: Weights = reading.get("weights") or old.facts.get("weights", "binary")
    if issparse(source) or "users" in given or "items" in given:
        whole: Reading = {**reading, "weights": weights}
        return Interactions.read(source, **whole)
    histories = old.histories
    timed = histories is not None and histories.times is not None if timed is None else timed
    table = open_table(source, said_now, remembered=told_in(old.facts.get("file", {})))
    columns = remembered_columns(table.header, old.facts.get("columns", {}), columns_told(given))
    if not timed and "time" not in given:
        columns["time"] = ""
    events = read_events_of(table, **{role: columns.get(role) for role in ROLES})
    keep = reading.get("keep")
    if keep is None:
        keep = str(old.facts.get("keep", "all")) if events.values is not None else "all"
    ordered = reading.get("ordered")
    ordered = histories is not None if ordered is None else ordered
    parts = assemble(events, parse_keep(keep), weights, ordered=ordered)
    read = Interactions(*parts[:-1], replace(parts[-1], columns=columns_told(given), file=said_now.said()))
    read.report.tell(logger)
    return read


def remembered_columns(
    header: Sequence[str], remembered: Mapping[str, str], given: Mapping[str, str]
) -> dict[str, str]:
    """The columns to read: those named now, else those of the training data, else those with usual names.

    Args:
        header: the existing columns.
        remembered: the named columns of the training data, by role.
        given: the columns named now.

    Returns:
        Names by role; roles without a name use the usual names.

    Raises:
        ColumnError: the column of users or items of the training data is missing, and no other one is recognised.
    """
    asked = dict(given)
    for role, name in remembered.items():
        if role in asked:
            continue
        if name == "" or is_column(header, role, name):
            asked[role] = name
        elif is_column(header, role, None):
            logger.info("no column %r, as in the training data: that of %ss is found by its usual name", name, role)
        elif role in ("user", "item"):
            hints = said({role: "NAME"})
            raise ColumnError(
                f"no column {name!r} among {', '.join(map(repr, header))}",
                expected=f"the column of {role}s of the training data, or one with a usual name",
                **{kind: f"say which column it is with {hint}" for kind, hint in hints.items()},
            )
        else:
            consequence = "every row counts" if role == "value" else "nothing is known of their order"
            logger.warning("no column %r, as in the training data: %s", name, consequence)
    return asked
