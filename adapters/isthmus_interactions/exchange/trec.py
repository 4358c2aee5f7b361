"""Rankings and relevant items in the formats of TREC, which trec_eval, ranx, ir-measures and others read.

A run has a line ``user Q0 item rank score tag`` for each recommended item, qrels have a line ``user 0 item relevance``
for each item to find.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from isthmus.disk import written
from isthmus.errors import InputError, SettingError
from isthmus.ids import Id
from isthmus_interactions.csr import row_of_entry
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.recommend.answers import Answer
from isthmus_interactions.recommend.histories import GivenId
from isthmus_interactions.splits import FoldIn

USERS_AT_A_TIME = 2048
TAG = "isthmus"
_BLANK = re.compile(r"\s")


def write_run(
    path: str | Path,
    users: Iterable[GivenId],
    ask: Callable[[Sequence[GivenId]], Iterable[Answer]],
    *,
    tag: str = TAG,
) -> int:
    """Write recommendations as a TREC run, completely or not at all, as in ``write_run("a.run", users,
    recommender.recommend_users)``.

    Args:
        path: path of the file; an older one is replaced.
        users: ids of users, or names of queries.
        ask: function that recommends for some of them, in order.
        tag: name of the system, in the last column.

    Returns:
        The number of lines.

    Raises:
        InputError: an id with spaces, which the format does not support, or a path that is not writable.
        SettingError: a tag with spaces.
        OSError: for example a full disk; an older file is still there.
    """
    if not tag or _BLANK.search(tag):
        raise SettingError(f"tag={tag!r}", expected="a word without blanks")
    lines, remaining = 0, iter(users)
    with written(path) as file:
        while some := list(islice(remaining, USERS_AT_A_TIME)):
            text = [line for user, answer in zip(some, ask(some), strict=True) for line in _ranked(user, answer, tag)]
            file.write("".join(text).encode())
            lines += len(text)
    return lines


def write_qrels(path: str | Path, test: Interactions | FoldIn, items: Sequence[Id] | None = None) -> int:
    """Write the items to find as TREC qrels, completely or not at all. The relevance is 1, or the weight of the
    interaction rounded to a whole number where that is larger.

    Args:
        path: path of the file; an older one is replaced.
        test: interactions, or the held-out items of a split.
        items: an id for each item of a split, such as ``recommender.adapter.items.ids``; interactions contain them.

    Returns:
        The number of lines.

    Raises:
        InputError: an id with spaces, or a path that is not writable.
        SettingError: a split without ids of its items, or with another number of them.
        OSError: for example a full disk; an older file is still there.
    """
    own: Sequence[Any] | npt.NDArray[Any] | None
    if isinstance(test, FoldIn):
        matrix, users, own = test.held_out, [_word(user) for user in test.users], items
    else:
        matrix, users, own = test.matrix, [_word(user) for user in test.users.ids], test.items.ids
    if own is None or len(own) != matrix.shape[1]:
        given = "no ids" if own is None else f"{len(own):,} ids"
        raise SettingError(f"{given} for the {matrix.shape[1]:,} items of a split", expected="items=, an id for each")
    names = [_word(item) for item in own]
    relevance = np.maximum(1, np.rint(matrix.data)).astype(np.int64)
    triples = zip(row_of_entry(matrix).tolist(), matrix.indices.tolist(), relevance.tolist(), strict=True)
    with written(path) as file:
        for some in _blocks(f"{users[user]} 0 {names[item]} {grade}\n" for user, item, grade in triples):
            file.write("".join(some).encode())
    return int(matrix.nnz)


def _ranked(user: GivenId, answer: Answer, tag: str) -> Iterator[str]:
    for rank, (item, score) in enumerate(zip(answer.ids, answer.scores, strict=True), start=1):
        yield f"{_word(user)} Q0 {_word(item)} {rank} {score:.9g} {tag}\n"


def _word(id_: object) -> str:
    word = str(id_)
    if not word or _BLANK.search(word):
        raise InputError(
            f"the id {word!r} in a file of TREC",
            expected="ids without blanks, which separate its columns",
            remedy="number them first, or write Parquet",
        )
    return word


def _blocks(lines: Iterator[str]) -> Iterator[list[str]]:
    while some := list(islice(lines, 1 << 16)):
        yield some
