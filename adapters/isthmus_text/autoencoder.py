"""The face: train on texts, then encode, decode, sample, interpolate, search."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isthmus.core.autoencoder import Autoencoder
from isthmus.core.priors.fitted_mixture import FittedMixture
from isthmus.errors import InputError, SettingError
from isthmus.sources import even_rows
from isthmus.training.history import History
from isthmus.training.run import Run
from isthmus_text import encode, fit, storage
from isthmus_text.corpus import Corpus
from isthmus_text.decode import write, write_nearest
from isthmus_text.encode import Codes
from isthmus_text.evaluate import Measured, measure
from isthmus_text.input_output import Tokens
from isthmus_text.texts import Texts

MOST_FITTED = 50_000


@dataclass(frozen=True, eq=False)
class TextAutoencoder:
    """A trained model with its tokenizer. Made by ``fit`` or ``load``; nothing in it changes.

    Attributes:
        tokens: what is read and what is written, each with its tokenizer and its longest row.
        model: the network.
        builder: the name of the model, as in Python.
        settings: all keywords of the builder.
        facts: sizes, the course of the training, what was noticed.
        mixture: a Gaussian mixture fitted to the codes of the training texts, for ``sample(prior="fitted")``.
        corpus: what ``search`` looks in, if anything.
    """

    tokens: Tokens
    model: Autoencoder
    builder: str
    settings: Mapping[str, Any]
    facts: Mapping[str, Any]
    mixture: FittedMixture | None = None
    corpus: Corpus | None = None

    @classmethod
    def fit(
        cls,
        texts: Texts | Iterable[str] | str | Path | Any,
        model: str = "sequence-vae",
        *,
        tokenizer: str | Path = "bpe",
        vocabulary: int = 8_000,
        longest: int | None = None,
        validation: float = 0.1,
        index: bool = True,
        vectors: Codes | None = None,
        run: Run | None = None,
        **settings: Any,
    ) -> TextAutoencoder:
        """Train a model. Ctrl-C ends the training and keeps the best model so far; ``history.interrupted`` tells.

        Args:
            texts: texts, or whatever ``Texts.read`` takes.
            model: a builder's name; ``isthmus models`` lists them.
            tokenizer: ``bpe`` (bytes, loses nothing) or ``word`` (what blanks separate), trained on the texts, or the
                path of a pretrained one.
            vocabulary: the most tokens that a trained tokenizer may know.
            longest: the most tokens of a text, its end among them; longer ones are cut. By default those of the longest
                of 10,000 texts, and at most 256.
            validation: the share of the texts that is held out to choose the best epoch; 0, and fewer than 50 texts,
                train to the last one.
            index: whether the texts can be searched afterwards; they and their codes are then part of what is saved.
            vectors: of these texts as the checkpoint gives them, where the encoder is frozen and they are known.
            run: device, seed, precision, progress and checkpoints.
            settings: keywords of the builder, such as ``code`` and ``epochs``.

        Raises:
            SettingError: no such model, or a setting that it does not know or cannot have.
            InputError: texts that cannot be read or trained on.
            NonFiniteLossError: the loss became NaN or infinite.
        """
        data, run = Texts.of(texts), run or Run()
        wanted = fit.Wanted(model, tokenizer, vocabulary, longest, validation, settings)
        made = fit.fit(data, wanted, vectors, run)
        fitted = cls(made.tokens, made.model, made.builder, made.settings, made.facts)
        if index:
            known = fitted.encode(data) if vectors is None else vectors
            fitted = fitted.with_corpus(data, codes=known)
        return replace(fitted, mixture=fitted._mixture(data, vectors, run))

    def with_corpus(self, texts: Texts | Iterable[str], *, codes: Codes | None = None) -> TextAutoencoder:
        """The same model with other texts to search in; this one does not change.

        Args:
            codes: of these texts, where they are known already.
        """
        data = Texts.of(texts)
        found = self.encode(data) if codes is None else codes
        return replace(self, corpus=Corpus(data, torch.from_numpy(np.array(found))))

    def _mixture(self, data: Texts, vectors: Codes | None, run: Run) -> FittedMixture | None:
        """Over the codes of at most ``MOST_FITTED`` texts, evenly spaced ones."""
        rows = even_rows(len(data), MOST_FITTED).numpy()
        held = vectors if vectors is not None else None if self.corpus is None else self.corpus.codes.numpy()
        codes = self.encode(data.select(rows)) if held is None else held[rows]
        return fit.mixed(torch.from_numpy(codes), run) if len(codes) >= fit.FEWEST else None

    @property
    def history(self) -> History:
        """The course of the training."""
        return fit.history_of(self.facts)

    @cached_property
    def width(self) -> int:
        """How many numbers a code has."""
        return int(self.encode([""]).shape[1])

    def encode(self, texts: Texts | Iterable[str], *, out: str | Path | None = None) -> Codes:
        """One code for each text, float32, in their order: the best single guess, the same at every call.

        Texts beyond ``tokens.reads.longest`` tokens are cut. Texts are taken a few thousand at a time.

        Args:
            out: a new ``.npy`` file for the codes, which come back as a read-only memory map.

        Raises:
            InputError: something that is no text, one text instead of many, or ``out`` exists.
        """
        if isinstance(texts, str):
            raise InputError("one text", expected="an iterable of texts", remedy="write encode([text])")
        return encode.encode(self.model, self.tokens.reads, texts, None if out is None else Path(out))

    def decode(
        self, codes: Codes | Tensor, *, strategy: str = "beam", seed: int = 0, draws: int = 0, **how: Any
    ) -> list[str]:
        """What the codes say.

        Args:
            codes: shape (n, code).
            strategy: ``beam`` looks for the most probable text, ``greedy`` takes the most probable token each time,
                ``nucleus`` draws.
            seed: of whatever is drawn.
            draws: so many more texts are drawn for each code, all are encoded again, and the one whose own code is
                nearest is given.
            how: ``beams``, ``length_power``, ``top_p``, ``temperature``; see ``isthmus.tasks.generate``.

        Raises:
            SettingError: an unknown strategy, or a setting outside its range.
            InputError: codes of another width, NaN or infinite.
        """
        wanted = encode.checked(codes, self.width)
        if draws < 0:
            raise SettingError(f"{draws} draws", expected="0 or more")
        if draws and len(wanted):
            return write_nearest(self.model, self.tokens, wanted, strategy, seed, draws, **how)
        return write(self.model, self.tokens, wanted, strategy, seed, **how)

    def reconstruct(self, texts: Texts | Iterable[str], *, strategy: str = "beam", **how: Any) -> list[str]:
        """What is left of each text after the narrow place: ``decode(encode(texts))``."""
        return self.decode(self.encode(texts), strategy=strategy, **how)

    def sample(
        self, n: int, *, seed: int = 0, prior: str = "fitted", strategy: str = "nucleus",
        **how: Any,
    ) -> list[str]:  # fmt: skip
        """New texts, from codes drawn by chance.

        Args:
            n: how many.
            seed: of the codes and of ``nucleus``.
            prior: ``fitted`` draws codes from the mixture over the codes of the training texts; ``standard`` from the
                model's own prior, which deterministic models lack.

        Raises:
            SettingError: a prior that this model lacks.
        """
        generator = torch.Generator().manual_seed(seed)
        if prior == "fitted" and self.mixture is None:
            raise SettingError("prior='fitted' of a model trained on few texts", expected="prior='standard'")
        if prior not in ("standard", "fitted"):
            raise SettingError(f"prior={prior!r}", expected="'standard' or 'fitted'")
        if n < 1:
            raise SettingError(f"{n} samples", expected="at least 1")
        source = self.mixture if prior == "fitted" and self.mixture is not None else self.model.prior
        return self.decode(source.sample(n, generator), strategy=strategy, seed=seed, **how)

    def interpolate(self, a: str, b: str, steps: int = 5, *, strategy: str = "beam", **how: Any) -> list[str]:
        """What lies between two texts: ``steps`` points of the straight line between their codes, both ends among them.

        Raises:
            SettingError: fewer than 2 steps.
        """
        if steps < 2:
            raise SettingError(f"{steps} steps", expected="at least 2, for both ends are among them")
        first, last = self.encode([a, b])
        share = np.linspace(0, 1, steps, dtype=np.float32)[:, None]
        return self.decode((1 - share) * first + share * last, strategy=strategy, **how)

    def search(self, query: str | Sequence[str], k: int = 10) -> Any:
        """The texts of the corpus whose codes are nearest, by cosine, nearest first.

        Args:
            query: one text, answered by a list of ``Found``, or several, answered by a list for each.

        Raises:
            InputError: there is no corpus.
            SettingError: ``k`` below 1.
        """
        if self.corpus is None:
            raise InputError("a model without texts to search in", remedy="give it some with with_corpus(texts)")
        queries = [query] if isinstance(query, str) else list(query)
        found = self.corpus.search(torch.from_numpy(self.encode(queries)), k)
        return found[0] if isinstance(query, str) else found

    def evaluate(self, texts: Texts | Iterable[str], *, samples: int = 0, seed: int = 0) -> Measured:
        """How well held-out texts are coded and written back; see ``isthmus_text.evaluate``.

        Args:
            samples: importance samples for a tighter bound of the likelihood; 0 leaves it out (500 is usual).
        """
        return measure(self, Texts.of(texts), samples, seed)

    def save(self, path: str | Path) -> None:
        """Save as a bundle, whole or not at all. Raises what ``isthmus.bundle.bundle.write`` raises."""
        storage.write(path, self)

    @classmethod
    def load(cls, path: str | Path) -> TextAutoencoder:
        """What was saved, on the CPU.

        Raises:
            BundleError: a directory that is truncated, altered, foreign or too new.
        """
        return cls(**storage.read(path))


def _autoencoder(model: torch.nn.Module) -> Autoencoder:
    assert isinstance(model, Autoencoder)
    return model
