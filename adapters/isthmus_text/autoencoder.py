"""Train on texts, then encode, decode, sample, interpolate, search and detect anomalies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Unpack, final

import torch
from torch import Tensor

from isthmus.errors import SettingError
from isthmus.files import Told
from isthmus.fitted import AutoencoderFace, BundleLayout, FitRequest
from isthmus.training.progress import Progress
from isthmus.training.run import Run
from isthmus_text import fit
from isthmus_text.decode import decode, decode_nearest
from isthmus_text.encode import Codes, encode
from isthmus_text.evaluate import TextEvaluation, evaluate, nats_per_token
from isthmus_text.input_output import InputOutput
from isthmus_text.read_alike import FILE, TextFileOptions, read_alike
from isthmus_text.storage import LAYOUT
from isthmus_text.texts import Texts


@final
@dataclass(frozen=True, eq=False, repr=False)
class TextAutoencoder(AutoencoderFace[InputOutput, Texts, list[str]]):
    """A trained model with its tokenizer. Made by ``fit`` or ``load``; immutable.

    Texts are given as ``Texts``, as one string, or as whatever else ``Texts.read`` takes (paths as ``Path``). What
    decodes (``decode``, ``reconstruct``, ``sample``, ``interpolate``) takes these options:

    - ``strategy``: ``beam`` looks for the most probable text, ``greedy`` takes the most probable token at each step,
      ``nucleus`` samples. The default is ``nucleus`` in ``sample`` and ``beam`` elsewhere.
    - ``beams``, ``length_power``, ``top_p``, ``temperature``: of the strategy, see ``isthmus.tasks.generate``.
    - ``draws``: this many more texts are sampled for each code, all are encoded again, and the one whose own code is
      nearest is returned.
    """

    write_options: ClassVar[tuple[str, ...]] = ("strategy", "draws", "beams", "length_power", "top_p", "temperature")
    sample_options: ClassVar[Mapping[str, Any]] = {"strategy": "nucleus"}

    @classmethod
    def fit(
        cls,
        texts: Any,
        model: str = "sequence-vae",
        *,
        tokenizer: str | Path = "bpe",
        vocabulary: int = 8_000,
        max_length: int | None = None,
        validation: float = 0.1,
        contamination: float = 0.05,
        gallery: bool = True,
        vectors: Codes | None = None,
        column: str | None = None,
        encoding: str | None = None,
        delimiter: str | None = None,
        header: bool | None = None,
        seed: int = 0,
        device: str = "auto",
        precision: str = "auto",
        progress: Progress | bool = True,
        checkpoints: str | Path | None = None,
        resume: bool = False,
        time_limit: float | None = None,
        run: Run | None = None,
        **settings: Any,
    ) -> TextAutoencoder:
        """Train a model. Ctrl-C ends the training and keeps the best model so far (``history.interrupted``).

        Args:
            texts: texts, or anything that ``Texts.read`` takes; a string is a path.
            model: a builder's name; ``isthmus models`` lists them.
            tokenizer: ``bpe`` (byte pairs, loses nothing) or ``word`` (separated by spaces), trained on the texts, or
                the path of a pretrained one.
            vocabulary: tokens that a trained tokenizer may know, at most.
            max_length: tokens of a text at most, its end included; longer texts are cut. By default that of the longest
                of 10,000 texts, and at most 256.
            validation: the share of the texts that is held out to choose the best epoch and to calibrate the anomaly
                threshold. With 0, and with fewer than 50 texts, the last epoch is kept and the threshold is calibrated
                on training texts.
            contamination: the share of normal texts that may be flagged as anomalies.
            gallery: whether the texts can be searched afterwards; the bundle then keeps them and their codes.
            column, encoding, delimiter, header: the column of a table that holds the texts, and how a file is written,
                where that is not found out; remembered for later files. See ``Texts.read``.
            vectors: embeddings of these texts by the checkpoint, where its encoder is frozen and they are known.
            seed, device, precision, checkpoints, resume, time_limit: how training runs; see ``isthmus.training.run``.
            progress: whether it is shown, or a ``Progress`` that is called instead.
            run: all of these as one object.
            settings: keywords of the builder, such as ``code`` and ``epochs``.

        Returns:
            The trained model.

        Raises:
            SettingError: no such model, or a setting that it does not know or cannot have.
            InputError: texts that cannot be read or trained on.
            NonFiniteLossError: the loss became NaN or infinite.
        """
        request = FitRequest(fit.PLUGIN, model, settings, validation, contamination, gallery)
        tokens = fit.TokenRequest(tokenizer, vocabulary, max_length)
        how = Run.gather(run, seed, device, precision, progress, checkpoints, resume, time_limit)
        told = Told.of(encoding, delimiter, header)
        data = texts if isinstance(texts, Texts) else Texts.read(texts, column=column, **told.asdict())
        made = fit.fit(data, request, tokens, vectors, how)
        said = told.said() | ({} if column is None else {"column": column})
        return cls(replace(made, facts={**made.facts, FILE: said}) if said else made)

    def encode(self, texts: Any, *, out: str | Path | None = None, **file: Unpack[TextFileOptions]) -> Codes:
        """One code for each text, in their order: the best single guess, the same at every call.

        Args:
            texts: any number, one string, a file as ``Path`` or a table; of an iterator, a few thousand are held at a
                time. Longer texts than the model reads are cut.
            file: column, encoding, delimiter and header of a file, where they are others than in ``fit``.
            out: a new ``.npy`` file for the codes, for more texts than memory holds.

        Returns:
            float32, shape (texts, ``code_width``); a read-only memory map of ``out``, where that is given.

        Raises:
            InputError: something that is not text, or ``out`` exists.
        """
        streamed = isinstance(texts, Iterator | Sequence) and not isinstance(texts, str)
        given = texts if streamed else self._read(texts, **file)
        return encode(self.model, self.adapter.input, given, None if out is None else Path(out))

    def evaluate(self, texts: Any, *, samples: int = 0, seed: int = 0) -> TextEvaluation:
        """How well held-out texts are encoded and decoded.

        Args:
            texts: texts that were not trained on, or anything that ``fit`` takes; a string is a path.
            samples: importance samples a text for ``weighted_nll``; 0 leaves it out, 500 is usual.
            seed: of those samples.

        Returns:
            Means over the texts; see ``TextEvaluation``.

        Raises:
            SettingError: samples below 0, or samples of a model without a posterior.
        """
        read = self._read(Path(texts) if isinstance(texts, str) else texts)
        return evaluate(self.model, self.adapter, read, samples=samples, seed=seed)

    @classmethod
    def _layout(cls) -> BundleLayout[InputOutput]:
        return LAYOUT

    def _read(self, source: Any, **file: Unpack[TextFileOptions]) -> Texts:
        if isinstance(source, Path):
            return read_alike(source, self.facts, **file)
        return Texts.read([source]) if isinstance(source, str) else Texts.of(source)

    def _codes(self, records: Texts) -> Tensor:
        return torch.from_numpy(encode(self.model, self.adapter.input, records))

    def _write(self, codes: Tensor, seed: int, *, strategy: str = "beam", draws: int = 0, **options: Any) -> list[str]:
        if draws < 0:
            raise SettingError(f"draws={draws}", expected="0 or more")
        if draws and len(codes):
            return decode_nearest(self.model, self.adapter, codes, strategy, seed, draws, **options)
        return decode(self.model, self.adapter, codes, strategy, seed, **options)

    def _names(self, records: Texts) -> tuple[Texts, None]:
        return records, None

    def _anomaly_scores(self, records: Texts) -> Tensor:
        return nats_per_token(self.model, self.adapter.source(self.model, records))
