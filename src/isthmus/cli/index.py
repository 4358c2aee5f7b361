"""``isthmus index VERB``: nearest neighbours of any vectors."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from isthmus.cli.dispatch import Function
from isthmus.cli.ids import IdReader
from isthmus.cli.options import Allow, Delimiter, Encoding, Exclude, Header, ResultCount, Seed
from isthmus.cli.output import Json, emit, table
from isthmus.cli.wording import size
from isthmus.errors import InputError
from isthmus.reprs import counted

if TYPE_CHECKING:
    from isthmus.index import Index, SearchHits, ShardedIndex

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="A saved index.")]
Vectors = Annotated[Path, typer.Argument(metavar="VECTORS", help=".npy, or a Parquet, CSV or JSON table with ids.")]
Threads = Annotated[int | None, typer.Option(help="Threads of each library [all cores].")]
MeasuringQueries = Annotated[
    Path | None,
    typer.Option("--queries", help="Typical queries, to measure with [vectors with noise]."),
]
Compact = Annotated[bool, typer.Option("--compact", help="Merge everything into one frozen segment afterwards.")]


def build(
    vectors: Vectors,
    out: Annotated[Path, typer.Option(help="Where to save the index.")],
    ids: Annotated[str | None, typer.Option(help="Column of VECTORS with the ids [id].")] = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    header: Header = None,
    metric: Annotated[str, typer.Option(help="ip, cosine or l2.")] = "ip",
    target_recall: Annotated[float, typer.Option(help="Share of the true k nearest that must be found.")] = 0.95,
    k: ResultCount = 10,
    queries: MeasuringQueries = None,
    kind: Annotated[str, typer.Option(help="auto, fastest, exact, or one kind to build.")] = "auto",
    seconds: Annotated[float | None, typer.Option(help="Time limit of one query.")] = None,
    memory: Annotated[int | None, typer.Option(help="Maximum bytes of vectors and index.")] = None,
    build_seconds: Annotated[float | None, typer.Option(help="Time limit for trying kinds.")] = None,
    parts: Annotated[int, typer.Option(help="Parts of the index; VECTORS may be a folder of Parquet files then.")] = 1,
    processes: Annotated[int, typer.Option(help="Parts that are built at the same time.")] = 1,
    seed: Seed = 0,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Build an index of vectors: exact search if it is fast enough, otherwise the fastest kind with the target
    recall."""
    from isthmus.bundle.directory import check_target
    from isthmus.index import Budget, Index, ShardedIndex
    from isthmus.index.tuning.budget import BUILD_SECONDS
    from isthmus.index.vectors import check_metric
    from isthmus.training.progress_display import ProgressBar

    check_metric(metric)
    budget = Budget(seconds, memory, BUILD_SECONDS if build_seconds is None else build_seconds)
    shared: dict[str, Any] = {
        "metric": metric,
        "target_recall": target_recall,
        "k": k,
        "budget": budget,
        "seed": seed,
        "queries": queries,
        "kind": kind,
    }
    with _limit_threads(threads):
        if parts != 1:
            _check_parts(encoding, delimiter, header)
            made = ShardedIndex.build(vectors, out, shards=parts, ids=ids, processes=processes, **shared)
            _print_info(out, made, as_json)
            return
        check_target(out)
        index = Index.build(
            vectors,
            ids,
            progress=ProgressBar() if sys.stderr.isatty() else None,
            encoding=encoding,
            delimiter=delimiter,
            header=header,
            **shared,
        )
    index.save(out)
    _print_info(out, index, as_json)


def search(
    directory: Directory,
    queries: Annotated[Path | None, typer.Argument(metavar="[QUERIES]", help=".npy, Parquet or CSV.")] = None,
    like: Annotated[
        list[str] | None, typer.Option(help="Ids whose vectors are used as queries; may be repeated.")
    ] = None,
    k: ResultCount = 10,
    within: Annotated[
        float | None, typer.Option(help="Return all with at least this score instead of the k nearest.")
    ] = None,
    exclude: Exclude = None,
    allow: Allow = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    header: Header = None,
    mmap: Annotated[bool, typer.Option("--mmap", help="Leave the vectors on disk; only check the header.")] = False,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Find the nearest neighbours of queries, or of vectors in the index."""
    from isthmus.files import NOTHING_TOLD, Told
    from isthmus.index import vector_files

    if (queries is None) == (not like):
        given = "no queries" if queries is None else "a file of queries and --like"
        raise InputError(given, expected="a file of vectors, or --like ID", remedy="see isthmus index search --help")
    index = _opened(directory, mmap)
    excluded, allowed = _parse_ids(index, "--exclude", exclude), _parse_ids(index, "--allow", allow)
    with _limit_threads(threads):
        if queries is None:
            names: list[Any] = _parse_ids(index, "--like", like) or []
            asked: Any = index.vectors(names)
        else:
            told, alike = Told.of(encoding, delimiter, header), getattr(index, "written", NOTHING_TOLD)
            asked, own = vector_files.read(queries, remembered=index.id_column, told=told, alike=alike)
            names = list(range(len(asked))) if own is None else own
        if within is None:
            found = index.search(asked, k, exclude=excluded, allow=allowed)
        else:
            found = index.within(asked, within, exclude=excluded, allow=allowed)
    emit({"answers": _answer_documents(names, found)}, as_json, lambda: _answer_table(names, found))


def add(
    directory: Directory,
    vectors: Vectors,
    update: Annotated[bool, typer.Option("--update", help="Replace the vectors of existing ids.")] = False,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    header: Header = None,
    compact: Compact = False,
    as_json: Json = False,
) -> None:
    """Add vectors to an index, with the ids of the file or numbers above all others."""
    index = _opened(directory)
    (index.update if update else index.add)(vectors, encoding=encoding, delimiter=delimiter, header=header)
    _save(directory, index, compact, as_json)


def remove(
    directory: Directory,
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids to remove.")],
    compact: Compact = False,
    as_json: Json = False,
) -> None:
    """Remove ids from an index."""
    index = _opened(directory)
    index.remove(_parse_ids(index, "ID", ids) or [])
    _save(directory, index, compact, as_json)


def info(directory: Directory, as_json: Json = False) -> None:
    """Describe an index: its kind, the reason for it, and the kinds that were tried."""
    _print_info(directory, _opened(directory), as_json)


def export(
    directory: Directory,
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="A .parquet or .npy file; of an index of parts, a new folder.")
    ],
    as_json: Json = False,
) -> None:
    """Write all vectors with their ids as Parquet, for a vector database."""
    index = _opened(directory, mmap=True)
    index.export(out)
    document = {"path": str(out), "rows": len(index), "width": index.width, "metric": index.metric}
    vectors = f"{counted(len(index), 'vector')} of {index.width} numbers"
    emit(document, as_json, lambda: Text(f"{out}: {vectors}, to be compared by {index.metric}"))


def benchmark(
    directory: Directory,
    queries: MeasuringQueries = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    header: Header = None,
    k: ResultCount = 10,
    seed: Seed = 1,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Measure recall and speed of an index on this machine, compared with exact search."""
    from isthmus.index import Index, benchmark

    index = Index.load(directory)
    with _limit_threads(threads):
        document = benchmark.benchmark(index, queries, k, seed, encoding=encoding, delimiter=delimiter, header=header)
    columns = ("index", "recall", "queries per second", "ms per query")
    measured = [(name, document[name]) for name in ("index", "exact")]
    rows = [(name, one["recall"], one["queries_per_second"], 1000 * one["seconds_a_query"]) for name, one in measured]
    emit({"path": str(directory), **document}, as_json, lambda: table(columns, rows))


COMMANDS: Mapping[str, Function] = {
    "build": build,
    "search": search,
    "add": add,
    "remove": remove,
    "info": info,
    "export": export,
    "benchmark": benchmark,
}


def _opened(directory: Path, mmap: bool = False) -> Index | ShardedIndex:
    """A saved index, of one part or of several."""
    from isthmus.index import Index, ShardedIndex
    from isthmus.index.sharded.contents import DOCUMENT

    kind = ShardedIndex if (directory / DOCUMENT).is_file() else Index
    return kind.load(directory, verify="header" if mmap else "full", mmap=mmap)


def _check_parts(*written: object) -> None:
    """Refuse options for text files: an index of several parts is not built from them."""
    if any(one is not None for one in written):
        raise InputError(
            "--parts with --encoding, --delimiter or --header", expected="Parquet files or a .npy file, without these"
        )


@contextlib.contextmanager
def _limit_threads(threads: int | None) -> Iterator[None]:
    from isthmus.index.threads import limit

    with contextlib.nullcontext() if threads is None else limit(threads):
        yield


def _parse_ids(index: Index | ShardedIndex, option: str, texts: list[str] | None) -> list[Any] | None:
    """Parse ids, in the type of the index."""
    return IdReader(_KnownIds(index), option).flat(texts) if texts else None


@dataclass(frozen=True)
class _KnownIds:
    """The ids of an index, for ``IdReader``."""

    index: Index | ShardedIndex

    @property
    def kind(self) -> str:
        return str(self.index.info()["ids"])

    def __contains__(self, id_: object) -> bool:
        return id_ in self.index


def _save(directory: Path, index: Index | ShardedIndex, compact: bool, as_json: bool) -> None:
    if compact:
        index.compact()
    index.save(directory)
    _print_info(directory, index, as_json)


def _answer_documents(names: list[Any], found: SearchHits) -> list[dict[str, Any]]:
    return [
        {"query": name, "neighbours": [{"id": id_, "score": score} for id_, score in own]}
        for name, own in zip(names, found, strict=True)
    ]


def _answer_table(names: list[Any], found: SearchHits) -> RenderableType:
    rows = [(name, id_, score) for name, own in zip(names, found, strict=True) for id_, score in own]
    return table(("query", "id", "score"), rows)


def _print_info(directory: Path, index: Index | ShardedIndex, as_json: bool) -> None:
    info_document = index.info()
    emit({"path": str(directory), **info_document}, as_json, lambda: _info_text(directory, info_document))


def _info_text(directory: Path, info: dict[str, Any]) -> RenderableType:
    head = (
        f"{directory}: {counted(info['rows'], 'vector')} of {info['width']} numbers by {info['metric']}, {info['kind']}"
    )
    recall = "not measured" if info["recall"] is None else f"{info['recall']:.3f}"
    why = f"recall@{info['k']} {recall}; {info['reason']}; {size(info['bytes'])} in memory"
    later = f"{info['gone']:,} removed and {info['added']:,} added since the last compact"
    columns = ("tried", "settings", "recall", "queries/s", "alone, ms", "size", "outcome")
    rows = [
        (
            trial["kind"],
            ", ".join(f"{name} {value}" for name, value in trial["settings"].items()),
            "" if trial["recall"] is None else f"{trial['recall']:.3f}",
            "" if trial["queries_per_second"] is None else f"{trial['queries_per_second']:,.0f}",
            "" if trial["seconds_a_query"] is None else f"{1000 * trial['seconds_a_query']:.2f}",
            "" if trial["bytes"] is None else size(trial["bytes"]),
            trial["outcome"],
        )
        for trial in info["trials"]
    ]
    lines = [Text(head), Text(why), *([Text(later)] if info["gone"] or info["added"] else [])]
    return Group(*lines, table(columns, rows)) if rows else Group(*lines)
