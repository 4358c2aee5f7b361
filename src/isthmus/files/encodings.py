"""Detects the encoding of a text, and converts it to UTF-8."""

from __future__ import annotations

import codecs
import logging
from collections.abc import Iterable, Iterator

from charset_normalizer import from_bytes

from isthmus.errors import InputError, SourceError

logger = logging.getLogger(__name__)

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte-order marks; those of 32 bits come first, as they begin with those of 16."""

CANDIDATES = ["cp1251", "koi8_r", "cp1253", "cp1255", "cp1256", "shift_jis", "euc_jp", "gb18030", "big5", "euc_kr"]
"""Candidate encodings of texts in which most letters are not ASCII."""

SHORT = 64
"""Of fewer bytes, nearly every other one must be null for a text to be UTF-16."""

EVIDENCE = 1 << 16
"""Maximum number of bytes with non-ASCII letters that are inspected."""

LATIN = {"cp1250": {"Polish", "Czech", "Slovak", "Hungarian", "Romanian", "Croatian", "Slovene"}, "cp1254": {"Turkish"}}
"""Candidate encodings of texts in Latin letters, and the languages that use them."""

ENOUGH_LINES = 8
"""Minimum number of lines with non-ASCII letters to distinguish encodings of Latin letters."""

CLEARER = 0.02
"""By how much more such a text must look like its language (charset-normalizer's coherence) than as cp1252."""

CONTROLS = bytes(set(range(32)) - set(b"\t\n\r\f\x0b\x1b\x1a\x1c\x1d\x1e\x1f"))


def marked(start: bytes) -> str | None:
    """The encoding that the first bytes show: by a byte-order mark, or by the null bytes of UTF-16 without one."""
    for mark, encoding in MARKS:
        if start.startswith(mark):
            return encoding
    some = start[: len(start) // 2 * 2]
    if len(some) >= 4:
        low, high = some[0::2].count(0) / (len(some) / 2), some[1::2].count(0) / (len(some) / 2)
        enough = 0.4 if len(some) >= SHORT else 0.9
        if high > enough and low < 0.05:
            return "utf-16-le"
        if low > enough and high < 0.05:
            return "utf-16-be"
    return None


def guessed(blocks: Iterable[bytes]) -> str | None:
    """Guess the encoding of bytes that are not UTF-8 and have no byte-order mark; None if most non-ASCII lines are
    UTF-8, so that the others are damaged.

    If most letters are ASCII, the text is taken as Western European: ``cp1252``, or ``latin-1`` for bytes that cp1252
    lacks; or as Central European or Turkish, if charset-normalizer clearly prefers these. Otherwise charset-normalizer
    chooses among the usual encodings of other scripts.
    """
    beyond, plain = bytearray(), 0
    for block in blocks:
        for line in block.splitlines():
            if not line.isascii():
                letters = sum(65 <= byte < 91 or 97 <= byte < 123 for byte in line)
                beyond, plain = beyond + line + b"\n", plain + letters
                if len(beyond) > EVIDENCE:
                    break
        if len(beyond) > EVIDENCE:
            break
    lines = bytes(beyond).split(b"\n")[:-1]
    if 2 * sum(map(_is_utf8, lines)) >= len(lines):
        return None
    high = sum(byte > 127 for byte in beyond)
    if high > plain:
        found = from_bytes(bytes(beyond), cp_isolation=CANDIDATES).best()
        if found is not None:
            return str(found.encoding)
    other = _other_latin(bytes(beyond)) if beyond.count(b"\n") >= ENOUGH_LINES else None
    if other is not None:
        return other
    try:
        bytes(beyond).decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def say_guessed(name: str, encoding: str) -> None:
    """Warn that the encoding of a file was guessed."""
    example = "; for Central European letters cp1250, say" if encoding in ("cp1252", "latin-1") else ""
    logger.warning(
        "%s is not UTF-8: it is read as %s; encoding= (--encoding) says otherwise%s", name, encoding, example
    )


def _other_latin(text: bytes) -> str | None:
    """An encoding of Latin letters that fits a text clearly better than cp1252."""
    found = {str(one.encoding): one for one in from_bytes(text, cp_isolation=["cp1252", *LATIN], threshold=0.9)}
    western = found.get("cp1252")
    for encoding, languages in LATIN.items():
        one = found.get(encoding)
        if one is None or one.language not in languages or text.decode(encoding) == text.decode("cp1252", "replace"):
            continue
        if western is None or (one.coherence >= western.coherence + CLEARER and one.chaos <= western.chaos):
            return encoding
    return None


def as_utf8(blocks: Iterable[bytes], encoding: str, name: str) -> Iterator[bytes]:
    """Blocks of bytes as UTF-8, without a byte-order mark.

    Args:
        blocks: the bytes, cut anywhere.
        encoding: their encoding.
        name: name of the file, for messages.

    Yields:
        The same text in UTF-8, cut between characters.

    Raises:
        EncodingError: bytes that are invalid in the encoding; the message names the line.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    plain, first, lines = encoding in ("utf-8", "ascii"), True, 1
    for block in _with_end(blocks):
        if plain and block and block.isascii() and not decoder.getstate()[0]:
            text = block
        else:
            try:
                decoded = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                raise EncodingError(name, encoding, lines + error.object[: error.start].count(b"\n")) from None
            text = decoded.encode("utf-8", "surrogatepass")
        lines += text.count(b"\n")
        if first and text:
            text, first = text.removeprefix(codecs.BOM_UTF8), False
        if text:
            yield text


class EncodingError(InputError):
    """Bytes that are invalid in the encoding of a text."""

    def __init__(self, name: str, encoding: str, line: int) -> None:
        super().__init__(
            f"line {line:,} of {name} is not valid {encoding.upper() if encoding.startswith('utf') else encoding}",
            expected=f"text in {encoding}",
            remedy="say which encoding it has, such as encoding='latin-1' (--encoding latin-1)",
        )


def check_text(start: bytes, name: str, expected: str) -> None:
    """Check that bytes are text in some encoding.

    Args:
        start: the first bytes of a file, as UTF-8.
        name: name of the file.
        expected: what was expected, for messages.

    Raises:
        SourceError: many null bytes or other control characters.
    """
    controls = len(start) - len(start.translate(None, CONTROLS))
    nulls = b"\x00" in start
    if controls > max(len(start) // 10, 8):
        raise SourceError(
            f"{name} is not text: it holds {'null bytes' if nulls else 'control characters'}",
            expected=expected,
            remedy="if it is text in another encoding, say which: encoding='utf-16' (--encoding utf-16)",
        )


def _with_end(blocks: Iterable[bytes]) -> Iterator[bytes]:
    yield from blocks
    yield b""
