"""Suggestions for unknown ids: similar ids and titles of the catalogue."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from isthmus.errors import UnknownHistoryWarning, UnknownIdError
from isthmus.ids import Id, plain_id
from isthmus.similar_texts import similar_texts
from isthmus.vocabulary import Rows
from isthmus_interactions.fitted import FittedRecommender, FittedView
from isthmus_interactions.recommend.histories import GivenId, id_list

SHOWN = 3
"""Maximum number of unknown ids and suggestions in a message."""


class Suggestion(NamedTuple):
    """An item of the catalogue and its title; None if it has none."""

    id: Id
    title: str | None


Catalogue = FittedRecommender | FittedView
"""The object that suggestions come from: a ``Recommender`` or its state."""


def suggest(catalogue: Catalogue, wanted: GivenId, count: int = SHOWN) -> list[Suggestion]:
    """The items whose ids or titles are most similar to an unknown id.

    An item with that very id comes first, then similar ids, if ids are text, then similar titles. All ids and titles
    are compared, which takes about a second for a million of them.

    Args:
        catalogue: a recommender, or its state.
        wanted: the unknown id; part of a title finds items with such titles.
        count: maximum number of suggestions.

    Returns:
        At most ``count`` items, most similar first; empty if nothing is similar.
    """
    items, text = catalogue.adapter.items, str(plain_id(wanted))
    found: list[Id] = [items.held(wanted)] if wanted in items else []
    if items.kind == "string":
        ids = items.ids.tolist()
        found += [ids[place] for place in similar_texts(text, ids, count)]
    titled = list(catalogue.titles)
    titles = [catalogue.titles[id_] for id_ in titled]
    found += [titled[place] for place in similar_texts(text, titles, count)]
    return [Suggestion(id_, catalogue.titles.get(id_)) for id_ in list(dict.fromkeys(found))[:count]]


def did_you_mean(suggestions: Sequence[Suggestion]) -> str:
    """The suggestions as a question; empty if there are none."""
    shown = [repr(one.id) if one.title is None else f"{one.id!r} ({one.title})" for one in suggestions]
    return f"did you mean {', '.join(shown[:-1])}{' or ' if len(shown) > 1 else ''}{shown[-1]}?" if shown else ""


def item_rows(catalogue: Catalogue, ids: Iterable[GivenId]) -> Rows:
    """Rows of items.

    Raises:
        UnknownIdError: an id that is not in the catalogue, with suggestions.
        InputError: a single id instead of several.
    """
    items = catalogue.adapter.items
    rows, unknown = items.split(id_list(ids, items))
    if unknown:
        meant = did_you_mean(suggest(catalogue, unknown[0]))
        further = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        examples = ", ".join(repr(id_) for id_ in items.take(range(min(SHOWN, len(items)))))
        raise UnknownIdError(
            f"unknown item {unknown[0]!r}{further}",
            expected=f"one of {len(items):,} {items.kind} ids such as {examples}",
            remedy=meant,
        )
    return rows


def warn_of_unknown_histories(
    catalogue: Catalogue, unknown: Sequence[Sequence[Id]], known: Sequence[bool], instead: str, stacklevel: int
) -> None:
    """Warn once about histories without known items; empty histories do not count.

    Args:
        catalogue: a recommender, or its state.
        unknown: the unknown ids of each history.
        known: for each history, whether it has other ids.
        instead: what is returned for these histories.
        stacklevel: as for ``warnings.warn``, counted from the caller.
    """
    missing = [ids for ids, some in zip(unknown, known, strict=True) if ids and not some]
    if not missing:
        return
    ids = ", ".join(repr(id_) for id_ in missing[0][:SHOWN]) + (" ..." if len(missing[0]) > SHOWN else "")
    which = "the history" if len(unknown) == 1 else f"{len(missing):,} of {len(unknown):,} histories"
    meant = did_you_mean(suggest(catalogue, missing[0][0]))
    message = f"no item of {which} is in the catalogue ({ids}): {instead}"
    warnings.warn(f"{message}; {meant}" if meant else message, UnknownHistoryWarning, stacklevel=stacklevel + 1)
