"""How well texts that were not trained on are coded and written back."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from isthmus.core.autoencoder import Autoencoder
from isthmus.metrics.codes import importance_weighted
from isthmus.metrics.text import corpus_bleu, exact_match, perplexity
from isthmus.protocols import Source
from isthmus.training.batching import TokenBudget
from isthmus.training.run import Run
from isthmus_text.texts import Texts
from isthmus_text.validation import Watch

if TYPE_CHECKING:
    from isthmus_text.autoencoder import TextAutoencoder

WRITTEN_BACK = 1000
"""Texts that are written back by beam search to be compared; more would take long and change little."""

TOKENS = 512
"""Of a batch whose likelihood is estimated; each of its texts is decoded ``CHUNK`` times at once."""

CHUNK = 8

EXACT = Run(device="cpu", precision="fp32")


@dataclass(frozen=True)
class Measured:
    """Nats are sums over a text, its end among its tokens, and means over the texts.

    Attributes:
        texts, tokens: how many; tokens with the ends, as cut to the longest.
        objective: the model's own loss, negated; higher is better.
        nll: what the decoder does not know, nats a text; lower is better.
        rate: what the code spends (the KL divergence from the prior), nats a text; 0 for deterministic models.
        perplexity: exp((nll + rate) / tokens of a text), an upper bound, a token of this tokenizer; lower is better.
        weighted_nll, weighted_perplexity: by importance sampling (Burda et al. 2016); None where not asked for.
        samples: of the importance sampling.
        active_units: dimensions whose mean varies by more than 0.01 (Burda et al. 2016); None without a posterior.
        mutual_information: nats, of codes and texts under the aggregated posterior of ``texts``; at most ln ``texts``.
        bleu: of what is written back by beam search, 0 to 100, sacrebleu over blank-separated tokens.
        exact: the share written back without a change, 0 to 1.
        compared: how many texts were written back.
    """

    texts: int
    tokens: int
    objective: float
    nll: float
    rate: float
    perplexity: float
    weighted_nll: float | None
    weighted_perplexity: float | None
    samples: int
    active_units: int | None
    mutual_information: float | None
    bleu: float
    exact: float
    compared: int

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def measure(model: TextAutoencoder, texts: Texts, samples: int, seed: int) -> Measured:
    """See ``TextAutoencoder.evaluate``."""
    source = model.tokens.source(model.model, texts)
    watch = Watch(source, EXACT)
    objective = watch.score(model.model)
    numbers, tokens = watch.watched(), int(source.lengths.sum())
    bound = numbers["held_out_nll"] + numbers.get("held_out_rate", 0.0)
    weighted = weighted_nll(model.model, source, samples, seed) if samples else None
    some = list(texts.spread(WRITTEN_BACK))
    back = model.reconstruct(some)
    found = watch.diagnosis
    return Measured(
        texts=len(texts),
        tokens=tokens,
        objective=objective,
        nll=numbers["held_out_nll"],
        rate=numbers.get("held_out_rate", 0.0),
        perplexity=perplexity(bound * len(texts), tokens),
        weighted_nll=weighted,
        weighted_perplexity=None if weighted is None else perplexity(weighted * len(texts), tokens),
        samples=samples,
        active_units=found.active if found else None,
        mutual_information=found.information.nats if found else None,
        bleu=corpus_bleu(back, some),
        exact=exact_match(back, some),
        compared=len(some),
    )


@torch.no_grad()
def weighted_nll(model: Autoencoder, source: Source, samples: int, seed: int, run: Run = EXACT) -> float:
    """Mean −log p(x) by importance sampling, nats a text, lower is better.

    Args:
        run: device (where the model is), precision and progress.
    """
    device, total = run.torch_device(), 0.0
    noise = torch.Generator(device).manual_seed(seed)
    run.progress.start(1, len(source), None)
    for rows in TokenBudget(TOKENS)(source.lengths, torch.Generator().manual_seed(seed)):
        with run.products():
            batch = source.batch(rows.to(device))
            found = importance_weighted(model, batch, samples=samples, chunk=CHUNK, generator=noise)
        total -= float(found.sum())
        run.progress.step(len(rows), -float(found.mean()))
    run.progress.stop()
    return total / len(source)
