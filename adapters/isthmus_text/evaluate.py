"""Evaluation of text models on held-out texts, and the likelihood of texts given their codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from isthmus.checked.arguments import checked_seed
from isthmus.core.autoencoder import Autoencoder
from isthmus.errors import InputError
from isthmus.fitted import Evaluation
from isthmus.fitted.evaluate import check_samples, standard_errors
from isthmus.metrics.codes import Density, weighted_under
from isthmus.metrics.text import corpus_bleu, exact_match, perplexity
from isthmus.protocols import Source
from isthmus.training.batching import TokenBudget, by_length
from isthmus.training.run import Run
from isthmus_text.decode import check_writes, decode
from isthmus_text.encode import encode
from isthmus_text.input_output import InputOutput
from isthmus_text.texts import Texts
from isthmus_text.validation import HeldOutMonitor

RECONSTRUCTED = 1000
"""Maximum number of texts that are reconstructed by beam search; more would take long and change the results little."""

TOKENS = 512
"""Tokens per batch for importance sampling; each text is decoded ``CHUNK`` times at once."""

SCORED_TOKENS = 2048
"""Tokens per batch of texts whose likelihood is computed."""

CHUNK = 8

EXACT = Run(device="cpu", precision="fp32")


@dataclass(frozen=True, repr=False)
class TextEvaluation(Evaluation):
    """Metrics on held-out texts. Values in nats are means over the texts of the sum over each text, including the end
    token.

    Attributes:
        texts, tokens: numbers of texts and tokens; tokens include ends, and texts are truncated to the maximum length.
        objective: negative loss of the model; higher is better.
        nll: −log p(text | a code drawn from its posterior), nats per text; lower is better.
        rate: KL divergence of the codes from the prior, nats per text; 0 for deterministic models.
        perplexity: exp((nll + rate) / tokens of a text), an upper bound, per token of this tokenizer; lower is better.
        weighted_nll, weighted_perplexity: by importance sampling (Burda et al. 2016); None if not requested.
        samples: number of importance samples.
        active_units: dimensions whose mean has a variance above 0.01 (Burda et al. 2016); None without a posterior.
        mutual_information: nats, of codes and texts under the aggregated posterior of ``texts``; at most ln ``texts``.
        bleu: BLEU of reconstructions by beam search, 0 to 100, sacrebleu over space-separated tokens; higher is better.
        exact: share of texts that are reconstructed exactly, 0 to 1.
        compared: number of reconstructed texts.
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


def evaluate(
    model: Autoencoder, adapter: InputOutput, texts: Texts, *, samples: int = 0, seed: int = 0
) -> TextEvaluation:
    """Evaluate a model on held-out texts.

    Args:
        model: model in evaluation mode.
        adapter: adapters of encoder and decoder.
        texts: texts that the model was not trained on.
        samples: importance samples per text for ``weighted_nll``; 0 skips it.
        seed: seed of these samples.

    Returns:
        Means over the texts.

    Raises:
        SettingError: samples below 0, samples for a model without a posterior, or a model that writes no texts.
    """
    check_writes(model, "evaluate")
    check_samples(samples)
    seed = checked_seed(seed)
    if not len(texts):
        raise InputError("no texts", expected="at least one")
    source = adapter.source(model, texts)
    monitor = HeldOutMonitor(source, EXACT)
    objective = monitor.score(model)
    numbers, tokens = monitor.metrics(), int(source.lengths.sum())
    bound = numbers["held_out_nll"] + numbers.get("held_out_rate", 0.0)
    weighted = weighted_nlls(model, source, samples, seed) if samples else None
    total = None if weighted is None else float(weighted.sum())
    some = list(texts.subsample(RECONSTRUCTED))
    back = decode(model, adapter, torch.from_numpy(encode(model, adapter.input, some)), "beam", 0)
    found = monitor.diagnosis
    return TextEvaluation(
        texts=len(texts),
        tokens=tokens,
        objective=objective,
        nll=numbers["held_out_nll"],
        rate=numbers.get("held_out_rate", 0.0),
        perplexity=perplexity(bound * len(texts), tokens),
        weighted_nll=None if total is None else total / len(texts),
        weighted_perplexity=None if total is None else perplexity(total, tokens),
        samples=samples,
        active_units=found.active if found else None,
        mutual_information=found.information.nats if found else None,
        bleu=corpus_bleu(back, some),
        exact=exact_match(back, some),
        compared=len(some),
        standard_errors=standard_errors(
            **monitor.each,
            weighted_nll=weighted,
            exact=[float(one == other) for one, other in zip(back, some, strict=True)],
        ),
    )


@torch.no_grad()
def nats_per_token(model: Autoencoder, source: Source) -> Float64[Tensor, " texts"]:
    """−log p(text | its code) / tokens of the text, nats per token: higher is more anomalous, independent of the
    length.

    Args:
        model: model in evaluation mode.
        source: as created by ``InputOutput.source``.

    Raises:
        InputError: no texts.
    """
    if not len(source):
        raise InputError("no texts", expected="at least one")
    device = next(model.parameters()).device
    there, lengths = source.to(device), source.lengths.cpu()
    found = torch.empty(len(source), dtype=torch.float64)
    for rows in by_length(lengths, SCORED_TOKENS):
        found[rows] = -model.step(there.batch(rows.to(device))).log_likelihood[:, 0].cpu().double()
    return found / lengths


@torch.no_grad()
def weighted_nll(model: Autoencoder, source: Source, samples: int, seed: int, run: Run = EXACT) -> float:
    """The mean of ``weighted_nlls``, with the same arguments."""
    return float(weighted_nlls(model, source, samples, seed, run).mean())


def weighted_nlls(
    model: Autoencoder, source: Source, samples: int, seed: int, run: Run = EXACT
) -> Float64[Tensor, " texts"]:
    """−log p of each text by importance sampling (Burda et al. 2016), nats; lower is better.

    Args:
        model: model with a posterior, in evaluation mode.
        source: the texts.
        samples: number of samples per text.
        seed: seed of the samples.
        run: precision and progress.

    Returns:
        The value of each text, in the order of the batches.
    """
    return weighted_nlls_under(model, source, (None,), samples, seed, run)[0]


@torch.no_grad()
def weighted_nlls_under(
    model: Autoencoder, source: Source, priors: Sequence[Density | None], samples: int, seed: int, run: Run = EXACT
) -> Float64[Tensor, "priors texts"]:
    """``weighted_nlls`` under several priors, from the same draws.

    Args:
        model, source, samples, seed, run: as in ``weighted_nlls``.
        priors: log densities of codes, such as ``FittedMixture.log_prob``; None for the model's own prior.

    Returns:
        One row for each prior.
    """
    device, parts = next(model.parameters()).device, []
    there, noise = source.to(device), torch.Generator(device).manual_seed(seed)
    run.progress.start(1, len(source), None)
    for rows in TokenBudget(TOKENS)(source.lengths.cpu(), torch.Generator().manual_seed(seed)):
        with run.products():
            batch = there.batch(rows.to(device))
            found = weighted_under(model, batch, priors, samples=samples, chunk=CHUNK, generator=noise)
        parts.append(-found.cpu().double())
        run.progress.step(len(rows), -float(found[0].mean()))
    run.progress.stop()
    return torch.cat(parts, 1)
