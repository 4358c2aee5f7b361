"""Commands for bundles of texts; each one builds and prints one document."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from isthmus.cli.evaluation import count_anomalies, emit_evaluation, scored_rows
from isthmus.cli.options import (
    AllFlagged,
    CodesFile,
    Delimiter,
    Directory,
    Encoding,
    Header,
    ImportanceSamples,
    PriorName,
    ResultCount,
    SampleCount,
    Seed,
    StepCount,
    Within,
    check_out_file,
)
from isthmus.cli.output import Json, emit, table
from isthmus.cli.wording import percent
from isthmus.errors import InputError
from isthmus.reprs import counted
from isthmus_text.autoencoder import TextAutoencoder
from isthmus_text.cli.options import (
    Column,
    Corrections,
    Documents,
    Draws,
    OutFile,
    Source,
    Strategy,
    codes_from,
    texts_from,
    write_lines,
)
from isthmus_text.texts import Texts


def encode(
    directory: Directory,
    file: Source,
    out: CodesFile = None,
    column: Column = None,
    documents: Documents = False,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    header: Header = None,
    as_json: Json = False,
) -> None:
    """Turn texts into codes, one row per text."""
    if out is None and not as_json:
        raise InputError("encode without an output", remedy="add --out codes.npy, or --json to print them")
    check_out_file(out, (".npy",))
    texts = texts_from(file, column, documents, directory, encoding=encoding, delimiter=delimiter, header=header)
    codes = TextAutoencoder.load(directory).encode(texts, out=out)
    document: dict[str, Any] = {"texts": len(codes), "width": codes.shape[1]}
    document |= {"codes": codes.tolist()} if out is None else {"path": str(out)}
    emit(document, as_json, lambda: Text(f"{counted(len(codes), 'code')} of {codes.shape[1]} numbers in {out}"))


def decode(
    directory: Directory,
    codes: Annotated[Path, typer.Argument(metavar="CODES", help="A .npy file, as written by encode.")],
    strategy: Strategy = "beam",
    draws: Draws = 0,
    corrections: Corrections = 0,
    seed: Seed = 0,
    out: OutFile = None,
    as_json: Json = False,
) -> None:
    """Decode codes to texts."""
    check_out_file(out)
    numbers = codes_from(codes)
    model = TextAutoencoder.load(directory)
    texts = model.decode(numbers, strategy=strategy, draws=draws, corrections=corrections, seed=seed)
    _emit_texts(texts, out, as_json)


def reconstruct(
    directory: Directory,
    file: Source,
    strategy: Strategy = "beam",
    column: Column = None,
    documents: Documents = False,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    header: Header = None,
    seed: Seed = 0,
    out: OutFile = None,
    as_json: Json = False,
) -> None:
    """Encode texts and decode their codes again."""
    check_out_file(out)
    texts = texts_from(file, column, documents, directory, encoding=encoding, delimiter=delimiter, header=header)
    back = TextAutoencoder.load(directory).reconstruct(texts, strategy=strategy, seed=seed)
    if out is not None:
        _emit_texts(back, out, as_json)
        return
    pairs = [{"text": text, "reconstruction": other} for text, other in zip(texts, back, strict=True)]
    emit({"texts": pairs}, as_json, lambda: table(("text", "reconstruction"), [list(pair.values()) for pair in pairs]))


def sample(
    directory: Directory,
    n: SampleCount = 10,
    prior: PriorName = "fitted",
    strategy: Strategy = "nucleus",
    temperature: Annotated[float, typer.Option(help="Of nucleus sampling; below 1 favours probable tokens.")] = 1.0,
    seed: Seed = 0,
    out: OutFile = None,
    as_json: Json = False,
) -> None:
    """Generate new texts from random codes."""
    check_out_file(out)
    model = TextAutoencoder.load(directory)
    _emit_texts(model.sample(n, seed=seed, prior=prior, strategy=strategy, temperature=temperature), out, as_json)


def interpolate(
    directory: Directory,
    a: Annotated[str, typer.Argument(metavar="TEXT", help="The first text.")],
    b: Annotated[str, typer.Argument(metavar="TEXT", help="The last text.")],
    steps: StepCount = 7,
    strategy: Strategy = "beam",
    seed: Seed = 0,
    out: OutFile = None,
    as_json: Json = False,
) -> None:
    """Interpolate between two texts."""
    check_out_file(out)
    between = TextAutoencoder.load(directory).interpolate(a, b, steps, strategy=strategy, seed=seed)
    _emit_texts(between, out, as_json)


def search(
    directory: Directory,
    query: Annotated[str, typer.Argument(metavar="TEXT", help="A text to compare with.")],
    k: ResultCount = 10,
    within: Within = None,
    column: Column = None,
    documents: Documents = False,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    header: Header = None,
    as_json: Json = False,
) -> None:
    """Find the texts whose codes are nearest to that of a text."""
    if within is None and (column is not None or documents):
        raise InputError("--column or --documents without --in", remedy="they only apply to the file of --in")
    model = TextAutoencoder.load(directory)
    if within is not None:
        model = model.with_gallery(
            texts_from(within, column, documents, directory, encoding=encoding, delimiter=delimiter, header=header)
        )
    hits = model.search(query, k)[0]
    found: list[dict[str, Any]] = [
        {"text": hit.item, "row": hit.row, "score": hit.score, "percentile": percentile}
        for hit, percentile in zip(hits, hits.percentiles, strict=True)
    ]
    rows = [(one["score"], percent(one["percentile"]), one["text"]) for one in found]
    emit({"query": query, "found": found}, as_json, lambda: table(("cosine", "percentile", "text"), rows))


def anomalies(
    directory: Directory,
    file: Source,
    k: ResultCount = 10,
    all_texts: AllFlagged = False,
    column: Column = None,
    documents: Documents = False,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    header: Header = None,
    as_json: Json = False,
) -> None:
    """Score how anomalous texts are, the most anomalous first."""
    texts = list(texts_from(file, column, documents, directory, encoding=encoding, delimiter=delimiter, header=header))
    model = TextAutoencoder.load(directory)
    scores = model.anomaly_scores(texts)
    limit = model.anomaly_scorer.threshold
    above, told = count_anomalies(scores, limit, "texts")
    ranked = scored_rows(scores, limit, model, None if all_texts else k)
    found = [{"text": texts[one.row], **one._asdict()} for one in ranked]
    document = {"texts": len(scores), "anomalies": above, "threshold": limit.value, "found": found}
    rows = [(one.score, one.p, texts[one.row], one.flag) for one in ranked]
    emit(document, as_json, lambda: Group(Text(f"{told}\n"), table(("nats per token", "p", "text", ""), rows)))


def evaluate(
    directory: Directory,
    file: Source,
    samples: ImportanceSamples = 0,
    column: Column = None,
    documents: Documents = False,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    header: Header = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Measure how well held-out texts are encoded and decoded."""
    texts: Texts = texts_from(file, column, documents, directory, encoding=encoding, delimiter=delimiter, header=header)
    found = TextAutoencoder.load(directory).evaluate(texts, samples=samples, seed=seed)
    said = f"{counted(found.texts, 'text')}, {counted(found.tokens, 'token')}"
    emit_evaluation(found, as_json, said, ("texts", "tokens", "samples", "compared"))


def _emit_texts(texts: list[str], out: Path | None, as_json: bool) -> None:
    if out is not None:
        write_lines(out, texts)
        emit({"texts": len(texts), "path": str(out)}, as_json, lambda: Text(f"{counted(len(texts), 'text')} in {out}"))
        return
    emit({"texts": texts}, as_json, lambda: _table(texts))


def _table(texts: list[str]) -> RenderableType:
    return table(("",), [[text] for text in texts])
