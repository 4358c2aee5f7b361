"""Sentence embeddings that can be read: a frozen pretrained encoder, and a decoder trained to write its texts again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor
from torch.nn import functional as F

from isthmus import bundle
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.encoders.pretrained import KnownVectors, PretrainedEncoder
from isthmus.errors import BundleError, InputError, SettingError
from isthmus.models.keywords import built, checked
from isthmus.models.rebuild import rebuild
from isthmus.sources import VectorSource
from isthmus.state import state_of
from isthmus.tasks.generate import generate
from isthmus.training.run import Run
from isthmus_text.adapter import TextAdapter
from isthmus_text.checkpoints import MINILM, described, directory_of, pretrained_encoder
from isthmus_text.pretrained import readable_embeddings
from isthmus_text.texts import Texts
from isthmus_text.tokenizing import Tokenizer
from isthmus_text.vectors import Paired, vectors_of

PLUGIN, BUILDER = "text", "readable_embeddings"
READS = "reads-"
"""Documents of the tokenizer that the encoder reads with; the other one's have their usual names."""

Vectors = Float32[np.ndarray, "n width"]


@dataclass(frozen=True, eq=False)
class ReadableEmbeddings:
    """Vectors of a pretrained encoder, exactly its own, with a decoder. Made by ``fit`` or ``load``.

    Attributes:
        model: ``KnownVectors`` of the encoder, and the decoder.
        reads: the tokenizer of the encoder.
        writes: the tokenizer of the decoder, and the longest row it writes.
        settings: all keywords of ``readable_embeddings``.
        facts: the course of the training.
    """

    model: Autoencoder
    reads: TextAdapter
    writes: TextAdapter
    settings: Mapping[str, Any]
    facts: Mapping[str, Any]

    @classmethod
    def fit(
        cls,
        texts: Texts | Iterable[str] | str | Path,
        *,
        vectors: Vectors | None = None,
        vocabulary: int = 8000,
        longest: int = 48,
        run: Run | None = None,
        **settings: Any,
    ) -> ReadableEmbeddings:
        """Compute the vectors of the texts once and train a decoder to write the texts from them.

        Args:
            texts: of the domain that is to be read; longer ones than ``longest`` are cut, for the decoder alone.
            vectors: of these texts, where they are known; they must be those of the checkpoint.
            vocabulary: tokens that the decoder writes with at most, byte pairs trained on the texts.
            longest: tokens of a written text, its end among them.
            run: device, seed, precision, progress and checkpoints.
            settings: keywords of ``isthmus_text.pretrained.readable_embeddings``.

        Raises:
            SettingError: a setting that is unknown or outside its range, or ``trains_encoder``.
            InputError: texts that cannot be read or trained on, or vectors of another number.
        """
        data, run = Texts.of(texts), run or Run()
        whole = checked(BUILDER, readable_embeddings, settings)
        if whole["trains_encoder"]:
            raise SettingError("trains_encoder of vectors that are computed once", expected="a frozen encoder")
        writes = TextAdapter.fit(data, size=vocabulary, longest=longest)
        recipe = built(BUILDER, readable_embeddings, writes.signal, run, whole)
        reads = reading_adapter(whole["checkpoint"])
        known = _encoder(recipe.model)
        values = torch.from_numpy(np.array(vectors)) if vectors is not None else vectors_of(known, reads.prepare(data))
        history = recipe.fit(Paired(VectorSource(values), writes.prepare(data)), run)
        whole["checkpoint"] = described(whole["checkpoint"]).to_json()
        facts = {"texts": len(data), "seed": run.seed, "training": history.to_json()}
        return cls(_autoencoder(recipe.model).cpu(), reads, writes, whole, facts)

    def encode(self, texts: Texts | Iterable[str]) -> Vectors:
        """One vector for each text in their order, as the pretrained encoder gives it."""
        return vectors_of(_encoder(self.model), self.reads.prepare(texts)).numpy()

    def decode(
        self, vectors: Vectors | Tensor, *, strategy: str = "beam", draws: int = 0, seed: int = 0, **how: Any
    ) -> list[str]:
        """What the vectors say.

        With ``draws`` more texts are drawn for each vector, all are encoded again, and the one whose own vector is
        nearest by cosine is given: the first step of Morris et al. (EMNLP 2023), without a model of its own.

        Args:
            vectors: shape (n, width).
            strategy: ``beam``, ``greedy`` or ``nucleus``; see ``isthmus.tasks.generate``.
            draws: how many texts more.
            seed: of draws.
            how: ``beams``, ``length_power``, ``top_p`` (of draws 0.9 by default), ``temperature`` (0.7).

        Raises:
            InputError: vectors of another width, NaN or infinite.
            SettingError: an unknown strategy, or a setting outside its range.
        """
        wanted = torch.as_tensor(np.asarray(vectors), dtype=torch.float32)
        _check(wanted, _encoder(self.model).width)
        chance = {"top_p": how.pop("top_p", 0.9), "temperature": how.pop("temperature", 0.7)}
        first = self._written(wanted, strategy, seed, **chance, **how)
        if not draws:
            return first
        drawn = self._written(wanted.repeat_interleave(draws, 0), "nucleus", seed + 1, **chance)
        candidates = [[one, *drawn[row * draws : (row + 1) * draws]] for row, one in enumerate(first)]
        return self._nearest(wanted, candidates)

    def save(self, path: str | Path) -> None:
        """Save as a bundle, whole or not at all; it holds the encoder. Raises what ``isthmus.bundle.write`` raises."""
        documents = {READS + name: text for name, text in self.reads.state().items()} | self.writes.state()
        tensors = {name: tensor.contiguous() for name, tensor in state_of(self.model).items()}
        bundle.write(
            path,
            plugin=PLUGIN,
            builder=BUILDER,
            settings=self.settings,
            tensors=tensors,
            documents=documents,
            facts=self.facts,
        )

    @classmethod
    def load(cls, path: str | Path) -> ReadableEmbeddings:
        """What was saved, on the CPU.

        Raises:
            BundleError: a directory that is truncated, altered, foreign or too new.
        """
        saved = bundle.read(path)
        manifest = saved.manifest
        if (manifest.plugin, manifest.builder) != (PLUGIN, BUILDER):
            raise BundleError(
                f"{str(path)!r} is a bundle of {manifest.plugin}, {manifest.builder}",
                expected=f"one of {PLUGIN}, {BUILDER}",
            )
        documents = saved.documents
        reads = TextAdapter.restore(
            {name.removeprefix(READS): text for name, text in documents.items() if name.startswith(READS)}
        )
        writes = TextAdapter.restore(documents)
        model = rebuild(readable_embeddings, writes.signal, manifest.settings, saved.tensors)
        return cls(_autoencoder(model), reads, writes, manifest.settings, manifest.facts)

    def _written(self, vectors: Tensor, strategy: str, seed: int, **how: Any) -> list[str]:
        rows = generate(
            self.model.decoder,  # type: ignore[arg-type]
            self.model.readout,
            vectors,
            end=self.writes.tokenizer.end,
            longest=self.writes.longest,
            strategy=strategy,
            generator=torch.Generator().manual_seed(seed) if strategy == "nucleus" else None,
            forbidden=self.writes.tokenizer.unsayable,
            **how,
        )
        return self.writes.tokenizer.decode_batch(rows)

    def _nearest(self, wanted: Tensor, candidates: Sequence[Sequence[str]]) -> list[str]:
        """Of each list the text whose vector has the largest cosine; of equal ones the first."""
        known = list(dict.fromkeys(text for texts in candidates for text in texts))
        place = {text: row for row, text in enumerate(known)}
        found = F.normalize(torch.from_numpy(self.encode(known)), dim=1)
        best = []
        for vector, texts in zip(wanted, candidates, strict=True):
            scores = found[[place[text] for text in texts]] @ vector
            best.append(texts[int(scores.argmax())])
        return best


def reading_adapter(checkpoint: str) -> TextAdapter:
    """Texts as rows for a pretrained encoder: its own tokenizer, and as many tokens as it reads.

    Raises:
        SourceError: a directory that is no checkpoint.
    """
    known = described(checkpoint)
    return TextAdapter(Tokenizer.pretrained(directory_of(checkpoint)), known.longest - (known.start is not None))


def pretrained_vectors(texts: Texts | Iterable[str], checkpoint: str = MINILM, run: Run | None = None) -> Vectors:
    """Vectors of texts as a pretrained encoder gives them, one a row in their order.

    Args:
        checkpoint: a directory, or ``minilm``.
        run: the precision of products, fp32 by default.

    Raises:
        SourceError: a directory that is no checkpoint.
    """
    with (run or Run(precision="fp32")).products():
        return vectors_of(
            pretrained_encoder(checkpoint, frozen=True), reading_adapter(checkpoint).prepare(texts)
        ).numpy()


def _autoencoder(model: torch.nn.Module) -> Autoencoder:
    assert isinstance(model, Autoencoder)
    return model


def _encoder(model: torch.nn.Module) -> PretrainedEncoder:
    known = _autoencoder(model).encoder
    assert isinstance(known, KnownVectors)
    return known.encoder


def _check(vectors: Tensor, width: int) -> None:
    if vectors.ndim != 2 or vectors.shape[1] != width:
        raise InputError(f"vectors of shape {tuple(vectors.shape)}", expected=f"(n, {width})")
    if not bool(vectors.isfinite().all()):
        raise InputError("vectors with NaN or infinity", expected="finite numbers")
