"""Parses ids as they are typed: separated by commas, as a JSON array, or in a file given as ``@FILE``.

An id may itself contain commas ("Silence of the Lambs, The (1991)"): parts between commas are joined again if this
gives a known id.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

from isthmus.checked.paths import plain_file
from isthmus.errors import InputError, SourceError, UnknownIdError
from isthmus.ids import Id, integer_of, plain_id, without_surrogates

MOST_COMMAS = 12
"""Maximum number of parts of one id, so that a history of a thousand ids is parsed quickly."""

Typed = list[Id] | list[tuple[Id, Any]] | dict[Id, float]
"""One list of ids as typed, with times or weights if given."""


@runtime_checkable
class Known(Protocol):
    """Knows which ids exist, such as a ``Vocabulary``."""

    @property
    def kind(self) -> str:
        """``int64`` for integers, ``string`` for texts."""
        ...

    def __contains__(self, id_: object) -> bool: ...


def _nothing(text: str) -> str:
    return ""


@dataclass(frozen=True)
class IdReader:
    """Parses the ids of one option.

    Attributes:
        known: the ids that exist. Unknown ids are parsed, too; the caller decides what to do with them.
        option: the option as it is typed, such as ``--history``, for messages.
        suggest: suggestions for a text that is not an id, as a sentence.
        timed: whether ids may have times: pairs ``["id", "2024-01-31"]``, or ``{"item": "id", "time": 978300760}``.
    """

    known: Known
    option: str
    suggest: Callable[[str], str] = _nothing
    timed: bool = False

    def one(self, text: str) -> Id:
        """A single id, including any commas.

        Raises:
            UnknownIdError: a text where the ids are numbers.
        """
        return self._id(text.strip(), text)

    def flat(self, texts: Sequence[str]) -> list[Id]:
        """All ids of an option that may be repeated, as one list; a file contains one or more ids per line.

        Raises:
            UnknownIdError: a text where the ids are numbers.
            InputError: a file or an array that cannot be read, or an ambiguous text.
        """
        found: list[Id] = []
        for one in self.lists(texts):
            found += cast(list[Id], list(one))  # without ``timed`` there are no times
        return found

    def lists(self, texts: Sequence[str]) -> list[Typed]:
        """One list for each text, and for each line of a file. Raises the errors of ``flat``."""
        found: list[Typed] = []
        for text in texts:
            if text.startswith("@") and text not in self.known:
                found += [self._list(line) for line in _lines(text[1:], self.option) if line.strip()]
            else:
                found.append(self._list(text))
        return found

    def _list(self, text: str) -> Typed:
        if text.lstrip().startswith("["):
            try:
                return self._from_json(json.loads(text), text)
            except json.JSONDecodeError as error:
                ids = self._separated(text) if self.known.kind == "string" else []
                if ids and all(id_ in self.known for id_ in ids):
                    return ids
                raise InputError(
                    f"{self.option} {text!r} is not a JSON array ({error.msg} at column {error.colno})",
                    expected='such as [1, 2] or ["one", "two"]',
                ) from None
        return self._separated(text)

    def _from_json(self, found: Any, text: str) -> Typed:
        if self.timed and (events := _events(found)):
            return [(self._json_id(id_, text), time) for id_, time in events]
        if isinstance(found, list) and found and all(isinstance(pair, list) for pair in found):
            if all(len(pair) == 2 and _is_number(pair[1]) for pair in found):
                return {self._json_id(id_, text): float(weight) for id_, weight in found}
        elif isinstance(found, list):
            return [self._json_id(id_, text) for id_ in found]
        times = ', of pairs ["id", "2024-01-31"] or of {"item": id, "time": time}' if self.timed else ""
        raise InputError(f"{self.option} {text!r}", expected=f"an array of ids, or of pairs [id, weight]{times}")

    def _json_id(self, value: object, text: str) -> Id:
        whole = isinstance(value, float) and value.is_integer()
        if isinstance(value, bool) or not (whole or isinstance(value, int | str)):
            raise InputError(f"{json.dumps(value)} in {self.option} {text!r}", expected="ids: numbers or texts")
        return self._id(str(plain_id(value)), text)

    def _separated(self, text: str) -> list[Id]:
        parts = text.split(",")
        if self.known.kind != "string":
            return [self._id(part.strip(), text) for part in parts if part.strip()]
        ids = list[Id](_put_together(parts, self.known, self.option, text))
        if not any(id_ in self.known for id_ in ids):
            self._check_file(text)
        return ids

    def _id(self, text: str, whole: str) -> Id:
        if self.known.kind == "string":
            return without_surrogates(text)
        number = integer_of(text)
        if number is not None:
            return number
        self._check_file(whole)
        meant = self.suggest(whole)
        raise UnknownIdError(
            f"{self.option} {(whole.strip() if meant else text)!r} is not a number",
            expected="ids, which are integers in these data",
            remedy=meant or self.suggest(text),
        )

    def _check_file(self, text: str) -> None:
        if _is_file(text):
            raise InputError(f"{self.option} {text!r} is a file", remedy=f"write @{text} to read it")


def _put_together(parts: list[str], known: Known, option: str, text: str) -> list[str]:
    """The interpretation with the fewest unknown ids.

    Raises:
        InputError: several interpretations are equally good.
    """
    # Dynamic programming from the end: the number of unknown ids from each part on, the number of ways, and the end of
    # the first id.
    unknown, ways, ends = [0] * (len(parts) + 1), [1] * (len(parts) + 1), [0] * (len(parts) + 1)
    for start in range(len(parts) - 1, -1, -1):
        options = {start + 1: 0 if parts[start].strip() in known or not parts[start].strip() else 1}
        for end in range(start + 2, min(len(parts), start + 1 + MOST_COMMAS) + 1):
            if ",".join(parts[start:end]).strip() in known:
                options[end] = 0
        unknown[start] = min(cost + unknown[end] for end, cost in options.items())
        best = [end for end, cost in options.items() if cost + unknown[end] == unknown[start]]
        ways[start], ends[start] = sum(ways[end] for end in best), best[0]
    if ways[0] > 1:
        first = json.dumps(_ids(parts, ends), ensure_ascii=False)
        raise InputError(
            f"{option} {text!r} can be read in {ways[0]} ways, because ids contain commas",
            remedy=f"write the ids as a JSON array: {option} '{first}', say",
        )
    return _ids(parts, ends)


def _ids(parts: list[str], ends: list[int]) -> list[str]:
    found, start = [], 0
    while start < len(parts):
        found.append(",".join(parts[start : ends[start]]).strip())
        start = ends[start]
    return [id_ for id_ in found if id_]


def _events(found: Any) -> list[tuple[Any, Any]]:
    """Ids with times, of an array of pairs with texts as times, or of objects; empty if it is neither."""
    if not isinstance(found, list):
        return []
    if all(isinstance(one, list) and len(one) == 2 and isinstance(one[1], str) for one in found):
        return [(one[0], one[1]) for one in found]
    if all(isinstance(one, dict) and one.keys() == {"item", "time"} for one in found):
        return [(one["item"], one["time"]) for one in found]
    return []


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _lines(name: str, option: str) -> list[str]:
    try:
        if name == "-":
            return sys.stdin.read().splitlines()
        return plain_file(name, "a file of ids").read_text(encoding="utf-8-sig").splitlines()
    except SourceError as error:
        raise InputError(f"{option} @{name} cannot be read: {error.given}", expected="a file of ids") from None
    except UnicodeDecodeError:
        raise InputError(f"{option} @{name} is not text", expected="UTF-8, with one list of ids per line") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"{option} @{name} cannot be read ({reason})", expected="a file of ids") from None


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):
        return False
