"""Decodes codes to texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from isthmus.capabilities import missing_members
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.encoders.pretrained import KnownVectors
from isthmus.errors import SettingError
from isthmus.protocols import SequenceDecoder
from isthmus.tasks.generate import generate
from isthmus_text.corrections.search import corrected
from isthmus_text.encode import encode
from isthmus_text.input_output import InputOutput

NUCLEUS_DEFAULTS = {"top_p": 0.9, "temperature": 0.7}
"""Default sampling of additional candidates."""


def writes_texts(model: Autoencoder) -> bool:
    """Whether codes can be decoded to texts; static embeddings decode to vectors."""
    return not missing_members(model.decoder, SequenceDecoder)


def check_writes(model: Autoencoder, what: str) -> None:
    """Check that a model writes texts.

    Args:
        model: the model.
        what: what needs it, for the message.

    Raises:
        SettingError: it does not.
    """
    if not writes_texts(model):
        raise SettingError(
            f"{what} with a model that writes no texts",
            expected="a model with a decoder of texts, such as sequence-vae or readable-embeddings",
            remedy="use encode and search",
        )


def decode(
    model: Autoencoder, adapter: InputOutput, codes: Float[Tensor, "n code"], strategy: str, seed: int, **options: Any
) -> list[str]:
    """Decode codes: one text for each code.

    Args:
        model: model in evaluation mode.
        adapter: adapters of encoder and decoder.
        codes: one code per text.
        strategy, options: see ``isthmus.tasks.generate``.
        seed: seed of nucleus sampling.

    Returns:
        The texts.

    Raises:
        SettingError: the model writes no texts.
    """
    check_writes(model, "decoding")
    device = next(model.parameters()).device
    noise = torch.Generator(device).manual_seed(seed) if strategy == "nucleus" else None
    rows = generate(
        model.decoder,  # type: ignore[arg-type]
        model.readout,
        codes.to(device),
        end=adapter.output.tokenizer.end,
        max_length=adapter.output.max_length,
        strategy=strategy,
        generator=noise,
        forbidden=adapter.output.tokenizer.non_text_ids,
        **options,
    )
    return adapter.output.tokenizer.decode_batch(rows)


def decode_nearest(
    model: Autoencoder,
    adapter: InputOutput,
    codes: Float[Tensor, "n code"],
    strategy: str,
    seed: int,
    draws: int,
    corrections: int = 0,
    **options: Any,
) -> list[str]:
    """Choose the text whose own code is nearest by cosine, among the text of ``decode`` and ``draws`` nucleus samples,
    or search on from these texts.

    Without corrections this is the first step of Morris et al. (EMNLP 2023).

    Args:
        model: model in evaluation mode.
        adapter: adapters of encoder and decoder.
        codes: one code per text.
        strategy: strategy of the first candidate.
        seed: seed of the samples.
        draws: number of additional candidates for each code.
        corrections: number of rounds of ``corrected``.
        options: options of the strategy and of the sampling.

    Returns:
        One text for each code.

    Raises:
        SettingError: corrections for a model without a pretrained encoder, or one that writes no texts.
    """
    if corrections and not isinstance(model.encoder, KnownVectors):
        raise SettingError(
            f"corrections={corrections} of a model whose encoder is its own", expected="readable-embeddings"
        )
    sampling = {name: options.pop(name, usual) for name, usual in NUCLEUS_DEFAULTS.items()}
    first = decode(model, adapter, codes, strategy, seed, **options, **(sampling if strategy == "nucleus" else {}))
    drawn = decode(model, adapter, codes.repeat_interleave(draws, 0), "nucleus", seed + 1, **sampling)
    candidates = [[one, *drawn[row * draws : (row + 1) * draws]] for row, one in enumerate(first)]
    if corrections:
        return corrected(model, adapter, codes, candidates, corrections)
    return _nearest(model, adapter, codes, candidates)


def _nearest(model: Autoencoder, adapter: InputOutput, codes: Tensor, candidates: Sequence[Sequence[str]]) -> list[str]:
    """The text in each list whose code has the largest cosine; the first one among equal ones."""
    known = list(dict.fromkeys(text for texts in candidates for text in texts))
    place = {text: row for row, text in enumerate(known)}
    found = F.normalize(torch.from_numpy(encode(model, adapter.input, known)), dim=1)
    return [
        texts[int((found[[place[text] for text in texts]] @ code).argmax())]
        for code, texts in zip(codes.cpu(), candidates, strict=True)
    ]
