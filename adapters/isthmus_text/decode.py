"""From codes to texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from isthmus.core.autoencoder import Autoencoder
from isthmus.tasks.generate import generate
from isthmus_text.encode import encode
from isthmus_text.input_output import Tokens

DRAWN = {"top_p": 0.9, "temperature": 0.7}
"""How candidates are drawn, where nothing else is asked for."""


def write(
    model: Autoencoder, tokens: Tokens, codes: Float[Tensor, "n code"], strategy: str, seed: int, **how: Any
) -> list[str]:
    """One text for each code; see ``isthmus.tasks.generate`` for ``strategy`` and ``how``."""
    device = next(model.parameters()).device
    noise = torch.Generator(device).manual_seed(seed) if strategy == "nucleus" else None
    rows = generate(
        model.decoder,  # type: ignore[arg-type]
        model.readout,
        codes.to(device),
        end=tokens.writes.tokenizer.end,
        max_length=tokens.writes.longest,
        strategy=strategy,
        generator=noise,
        forbidden=tokens.writes.tokenizer.unsayable,
        **how,
    )
    return tokens.writes.tokenizer.decode_batch(rows)


def write_nearest(
    model: Autoencoder,
    tokens: Tokens,
    codes: Float[Tensor, "n code"],
    strategy: str,
    seed: int,
    draws: int,
    **how: Any,
) -> list[str]:
    """Of the text of ``write`` and ``draws`` more, drawn by nucleus sampling, the one whose own code is nearest by
    cosine: the first step of Morris et al. (EMNLP 2023), without a model of its own."""
    chance = {name: how.pop(name, usual) for name, usual in DRAWN.items()}
    first = write(model, tokens, codes, strategy, seed, **how, **(chance if strategy == "nucleus" else {}))
    drawn = write(model, tokens, codes.repeat_interleave(draws, 0), "nucleus", seed + 1, **chance)
    candidates = [[one, *drawn[row * draws : (row + 1) * draws]] for row, one in enumerate(first)]
    return _nearest(model, tokens, codes, candidates)


def _nearest(model: Autoencoder, tokens: Tokens, codes: Tensor, candidates: Sequence[Sequence[str]]) -> list[str]:
    """Of each list the text whose code has the largest cosine; of equal ones the first."""
    known = list(dict.fromkeys(text for texts in candidates for text in texts))
    place = {text: row for row, text in enumerate(known)}
    found = F.normalize(torch.from_numpy(encode(model, tokens.reads, known)), dim=1)
    return [
        texts[int((found[[place[text] for text in texts]] @ code).argmax())]
        for code, texts in zip(codes.cpu(), candidates, strict=True)
    ]
