"""Histories, users and items as typed on the command line, with suggestions for unknown ids."""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.cli.ids import IdReader, Typed
from isthmus.errors import InputError, UnknownIdError
from isthmus.ids import Id
from isthmus.reprs import counted
from isthmus_interactions.recommend.answers import Answer
from isthmus_interactions.recommend.suggest import did_you_mean, suggest
from isthmus_interactions.recommender import Recommender

ALL = "all"
NAMED = 5
"""Maximum number of unknown ids in a remark."""


def histories(recommender: Recommender, texts: Sequence[str]) -> list[Typed]:
    """The histories of ``--history``, one for each text, or one for each line of a file.

    Raises:
        UnknownIdError: a text where the ids are numbers; items with similar titles are suggested.
        InputError: a file or an array that cannot be read, or an ambiguous text.
    """
    found = _reader(recommender, "--history", timed=True).lists(texts)
    if texts and not found:
        raise InputError(f"--history {' '.join(texts)} holds no ids", expected="a line of ids for each history")
    return found


def items(recommender: Recommender, option: str, texts: Sequence[str] | None) -> list[Id] | None:
    """The items of an option such as ``--allow`` in one list; None without any. Raises the errors of ``histories``."""
    return None if texts is None else _reader(recommender, option).flat(texts)


def item(recommender: Recommender, text: str) -> Id:
    """One item of the catalogue.

    Raises:
        UnknownIdError: there is no such item; similar ids and titles are suggested.
    """
    reader = _reader(recommender, "--item")
    found = reader.one(text)
    if found not in recommender.adapter.items:
        raise UnknownIdError(
            f"unknown item {found!r}",
            expected=f"one of {len(recommender.adapter.items):,} items",
            remedy=reader.suggest(text) or "isthmus items DIR TEXT searches for items",
        )
    return found


def users(recommender: Recommender, texts: Sequence[str]) -> list[Id]:
    """The users of ``--users``, all of whom must be in the training data.

    Raises:
        UnknownIdError: a user is not in the training data; similar ids are suggested.
        InputError: no user is given.
    """
    known = recommender.adapter.users
    ids = known.take(range(len(known))) if list(texts) == [ALL] else IdReader(known, "--users").flat(texts)
    known.rows(ids)
    if not ids:
        raise InputError(f"--users {' '.join(texts)!r} names no user", expected="ids of users of the training data")
    return ids


def unknown_items(recommender: Recommender, unknown: Sequence[Id], where: str = "") -> str:
    """The remark about items that are left out because they are not in the catalogue."""
    shown = ", ".join(map(str, unknown[:NAMED]))
    said = f"{counted(len(unknown), 'unknown id')}{where} left out: {shown}{' ...' if len(unknown) > NAMED else ''}"
    meant = did_you_mean(suggest(recommender, unknown[0]))
    # With several unknown ids, the suggestion is for the first one.
    about = f"for {unknown[0]}, " if meant and len(unknown) > 1 else ""
    return f"{said}; {about}{meant}" if meant else said


def remarks(recommender: Recommender, answer: Answer, whose: str = "") -> list[str]:
    """Remarks about an answer.

    Args:
        recommender: the recommender.
        answer: the answer to one history.
        whose: which history it is, if there are several.
    """
    said = []
    if answer.unknown:
        said.append(unknown_items(recommender, answer.unknown))
    if not answer.ids:
        said.append("no item is left that may be recommended")
    elif answer.popular:
        said.append("no item of the history is known; these are the most popular items")
    if answer.too_little and not answer.popular:
        said.append(f"too little is known to tell chances: {answer.too_little}")
    elif answer.expected_hits is not None:
        said.append(f"{answer.expected_hits:.2f} hits expected among {counted(len(answer), 'item')}")
    return [f"{whose}: {one}" if whose else one for one in said]


def _reader(recommender: Recommender, option: str, *, timed: bool = False) -> IdReader:
    def meant(text: str) -> str:
        return did_you_mean(suggest(recommender, text))

    return IdReader(recommender.adapter.items, option, meant, timed)
