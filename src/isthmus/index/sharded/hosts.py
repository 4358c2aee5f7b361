"""Parts in other processes and on other machines: what is asked and what is answered, as plain values.

A question is a verb with arguments by name, an answer is a document with one entry: ``answer``, ``refused`` (an error
of isthmus, in its words) or ``failed`` (any other one). Both consist of numbers, texts, lists, dicts and arrays, so
that any transport can carry them. ``PartHost`` answers, next to the vectors; ``RemotePart`` asks, and is a part of a
``ShardedIndex``. ``isthmus.index.sharded.processes`` joins them by the pipes of processes of this machine,
``isthmus.integrations.ray_index`` by the actors of Ray.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt

from isthmus import errors
from isthmus.errors import IsthmusError, PartError, SettingError
from isthmus.ids import Id
from isthmus.index.index import Index
from isthmus.index.search import IdArray, Ids, SearchHits, as_queries, reusable
from isthmus.index.sharded.parts import Part
from isthmus.index.storage.tensors import Verify
from isthmus.index.vectors import Metric

Answer = Mapping[str, Any]

Ask = Callable[[str, Mapping[str, Any]], Answer]
"""Carries a question to a ``PartHost`` and returns its answer."""


def _hits(found: SearchHits) -> dict[str, Any]:
    return {"ids": found.ids, "scores": found.scores, "kind": found.kind}


VERBS: Mapping[str, Callable[..., Any]] = {
    "about": lambda part: {"metric": part.metric, "width": part.width},
    "size": len,
    "ids": lambda part: part.ids,
    "holds": lambda part, **given: part.holds(**given),
    "search": lambda part, **given: _hits(part.search(**given)),
    "within": lambda part, **given: _hits(part.within(**given)),
    "vectors": lambda part, **given: part.vectors(**given),
    "add": lambda part, **given: part.add(**given),
    "update": lambda part, **given: part.update(**given),
    "remove": lambda part, **given: part.remove(**given),
    "compact": lambda part, **given: part.compact(**given),
    "info": lambda part: part.info(),
    "save": lambda part, **given: part.save(**given),
    "export": lambda part, **given: part.export(**given),
}
"""What can be asked of a part."""


@final
class PartHost:
    """Answers the questions of a ``RemotePart``.

    Args:
        part: usually an ``Index``.
    """

    def __init__(self, part: Part) -> None:
        self._part = part

    @classmethod
    def open(cls, folder: str, verify: Verify, mmap: bool) -> PartHost:
        """A host for a saved index.

        Args:
            folder: path of the index.
            verify, mmap: as for ``Index.load``.

        Raises:
            BundleError: no index at this path, or a damaged one.
        """
        return cls(Index.load(folder, verify=verify, mmap=mmap))

    def answer(self, verb: str, given: Mapping[str, Any]) -> Answer:
        """The answer to a question; errors are documents, too.

        Args:
            verb: one of ``VERBS``.
            given: arguments by name.
        """
        return answered(lambda: self._do(verb, given))

    def _do(self, verb: str, given: Mapping[str, Any]) -> Any:
        if verb not in VERBS:
            raise SettingError(f"verb {verb!r}", expected=f"one of {', '.join(VERBS)}")
        return VERBS[verb](self._part, **given)


def answered(work: Callable[[], Any]) -> Answer:
    """What ``work`` returns, or its error, as a document."""
    try:
        return {"answer": work()}
    except IsthmusError as error:
        words = {"given": error.given, "expected": error.expected, "remedy": error.remedy, "option": error.option}
        return {"refused": {"error": type(error).__name__, **words}}
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}"}


def content(answer: Answer) -> Any:
    """The content of an answer.

    Raises:
        IsthmusError: what the host raised, as the same class.
        PartError: it failed in another way.
    """
    if "answer" in answer:
        return answer["answer"]
    if "refused" in answer:
        words = dict(answer["refused"])
        known = getattr(errors, str(words.pop("error")), None)
        kind = known if isinstance(known, type) and issubclass(known, IsthmusError) else PartError
        raise kind(words.pop("given"), **words)
    raise PartError(f"a part of the index failed: {answer.get('failed', 'without an answer')}")


@final
class RemotePart:
    """A part that lives elsewhere. Methods, results and errors are those of ``Index``; paths are those of its machine.

    Args:
        ask: carries a question to the ``PartHost``; raises ``PartError`` if there is no answer.

    Raises:
        PartError: no answer.
        BundleError: the host could not load its index.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        about = self._asked("about")
        self._metric: Metric = about["metric"]
        self._width = int(about["width"])

    def _asked(self, verb: str, **given: Any) -> Any:
        return content(self._ask(verb, given))

    @property
    def metric(self) -> Metric:
        """The metric of the index."""
        return self._metric

    @property
    def width(self) -> int:
        """The number of dimensions of a vector."""
        return self._width

    @property
    def ids(self) -> list[Id]:
        """All ids, which are sent here."""
        return list(self._asked("ids"))

    def __len__(self) -> int:
        return int(self._asked("size"))

    def holds(self, ids: IdArray) -> list[bool]:
        """As ``Index.holds``."""
        return list(self._asked("holds", ids=reusable(ids, "ids")))

    def search(
        self, queries: Any, k: int | Sequence[int] = 10, *, exclude: Ids | None = None, allow: Ids | None = None
    ) -> SearchHits:
        """As ``Index.search``."""
        return self._found("search", queries, exclude, allow, k=list(k) if isinstance(k, Sequence | np.ndarray) else k)

    def within(self, queries: Any, score: float, *, exclude: Ids | None = None, allow: Ids | None = None) -> SearchHits:
        """As ``Index.within``."""
        return self._found("within", queries, exclude, allow, score=score)

    def vectors(self, ids: IdArray) -> npt.NDArray[np.float32]:
        """As ``Index.vectors``."""
        return np.asarray(self._asked("vectors", ids=reusable(ids, "ids")), np.float32)

    def add(self, vectors: Any, ids: IdArray | None = None) -> None:
        """As ``Index.add``."""
        self._asked("add", vectors=np.asarray(vectors), ids=reusable(ids, "ids"))

    def update(self, vectors: Any, ids: IdArray | None = None) -> None:
        """As ``Index.update``."""
        self._asked("update", vectors=np.asarray(vectors), ids=reusable(ids, "ids"))

    def remove(self, ids: IdArray) -> None:
        """As ``Index.remove``."""
        self._asked("remove", ids=reusable(ids, "ids"))

    def compact(self, queries: Any = None) -> None:
        """As ``Index.compact``."""
        self._asked("compact", queries=None if queries is None else np.asarray(queries))

    def info(self) -> dict[str, Any]:
        """As ``Index.info``."""
        return dict(self._asked("info"))

    def save(self, directory: str | Path) -> None:
        """As ``Index.save``."""
        self._asked("save", directory=os.path.abspath(directory))

    def export(self, path: str | Path) -> None:
        """As ``Index.export``."""
        self._asked("export", path=os.path.abspath(path))

    def _found(self, verb: str, queries: Any, exclude: Ids | None, allow: Ids | None, **given: Any) -> SearchHits:
        filters = {"exclude": reusable(exclude, "exclude"), "allow": reusable(allow, "allow")}
        found = self._asked(verb, queries=as_queries(queries).numpy(), **filters, **given)
        return SearchHits(list(found["ids"]), list(found["scores"]), found["kind"])
