"""Encodes texts: streamed, in batches of similar length, in the order of the texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from isthmus.batch import TokenRows
from isthmus.core.autoencoder import Autoencoder
from isthmus.disk import allocate, check_new_file, is_stream, written
from isthmus.errors import InputError
from isthmus.training.batching import by_length
from isthmus_text.adapter import TextAdapter
from isthmus_text.pretrained.cached_vectors import batch_tokens
from isthmus_text.texts import Texts

CHUNK = 8192
"""Number of texts that are sorted by length together."""

Codes = Float32[np.ndarray, "n code"]


@torch.no_grad()
def encode(model: Autoencoder, adapter: TextAdapter, texts: Iterable[Any], out: Path | None = None) -> Codes:
    """Encode texts deterministically: one code for each text, in order.

    Args:
        model: model in evaluation mode.
        adapter: adapter of the encoder.
        texts: any number of texts; at most ``CHUNK`` of them are in memory at a time.
        out: a new ``.npy`` file that is filled as texts are encoded, for corpora whose codes exceed the memory. It is
            returned as a read-only memory map. A pipe gets all codes at the end.

    Raises:
        InputError: a value that is not text, or ``out`` exists.
        OSError: too little disk space for the codes; nothing is left there then.
    """
    if out is None:
        found = list(_encoded_chunks(model, adapter, texts))
        return (
            np.concatenate(found)
            if found
            else _encoded(model, adapter.tokenizer.encode_batch([""], adapter.max_length)).numpy()[:0]
        )
    check_new_file(out)
    if is_stream(out):
        codes = encode(model, adapter, texts)
        with written(out) as file:
            np.save(file, codes, allow_pickle=False)
        return codes
    data = Texts.of(texts)
    return _write_codes(_encoded_chunks(model, adapter, data), len(data), out)


def token_rows(ids: Sequence[Sequence[int]], device: torch.device) -> TokenRows:
    """Rows of ids, padded on the right to the longest of them."""
    lengths = torch.tensor([len(row) for row in ids])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    padded = torch.zeros(mask.shape, dtype=torch.int64)
    padded[mask] = torch.tensor([one for row in ids for one in row], dtype=torch.int64)
    return TokenRows(padded.to(device), mask.to(device))


def _encoded_chunks(model: Autoencoder, adapter: TextAdapter, texts: Iterable[Any]) -> Iterator[Codes]:
    stream = iter(texts)
    for first in count(1, CHUNK):
        chunk = list(islice(stream, CHUNK))
        if not chunk:
            return
        _check(chunk, first)
        yield _encoded(model, adapter.tokenizer.encode_batch(chunk, adapter.max_length)).numpy()


def _check(chunk: list[Any], first: int) -> None:
    for number, text in enumerate(chunk, first):
        if not isinstance(text, str):
            raise InputError(f"text {number:,} is a {type(text).__name__}", expected="str")


def check_ids(encoder: Any, ids: list[list[int]]) -> None:
    """Check that a pretrained encoder has vectors for all tokens, because its tokenizer is a separate file."""
    words = getattr(getattr(encoder, "encoder", encoder), "words", None)
    largest = max(map(max, ids))
    if words is not None and largest >= len(words()):
        raise InputError(f"token {largest:,} for an encoder of {len(words()):,} tokens", expected="its own tokenizer")


def _encoded(model: Autoencoder, ids: list[list[int]]) -> Tensor:
    check_ids(model.encoder, ids)
    bag = getattr(model.encoder, "codes_of_ids", None)
    if bag is not None:
        # A bag of tokens needs neither padding nor batches of similar length, which take longer than its sums.
        found: Tensor = bag(ids)
        return found.cpu()
    device = next(model.parameters()).device
    # Equal rows are encoded once, so that their codes do not depend on their batches.
    place: dict[tuple[int, ...], int] = {}
    where = [place.setdefault(tuple(row), len(place)) for row in ids]
    distinct = list(place)
    batches = by_length(torch.tensor([len(row) for row in distinct]), batch_tokens(device))
    rows = (token_rows([distinct[row] for row in batch.tolist()], device) for batch in batches)
    codes = torch.cat([model.encode(some).point.float().cpu() for some in rows])
    placed = torch.empty_like(codes)
    placed[torch.cat(batches)] = codes
    return placed[torch.tensor(where)]


def _write_codes(parts: Iterator[Codes], rows: int, out: Path) -> Codes:
    with written(out) as file:
        first = next(parts)
        codes = np.lib.format.open_memmap(file.name, mode="w+", dtype=np.float32, shape=(rows, first.shape[1]))
        allocate(file, codes.offset, codes.offset + codes.nbytes)
        start = 0
        for part in chain([first], parts):
            codes[start : start + len(part)] = part
            start += len(part)
        codes.flush()
        # Windows cannot rename a mapped file.
        del codes
    mapped: Codes = np.load(out, mmap_mode="r", allow_pickle=False)
    return mapped
