"""The ``TextAutoencoder``: train, encode, decode, sample, interpolate, search and detect anomalies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Unpack, final

import torch
from torch import Tensor

from isthmus.cards import CardWords
from isthmus.checked.arguments import whole
from isthmus.distributed import check_network
from isthmus.errors import SettingError
from isthmus.files import Told
from isthmus.fitted import AutoencoderFace, BundleLayout, FitRequest
from isthmus.training.loggers import Log
from isthmus.training.progress import Progress
from isthmus.training.run import Run
from isthmus_text import fit
from isthmus_text.decode import check_writes, decode, decode_nearest
from isthmus_text.encode import Codes, encode
from isthmus_text.evaluate import TextEvaluation, evaluate, nats_per_token
from isthmus_text.files.read_alike import FILE, TextFileOptions, read_alike
from isthmus_text.input_output import InputOutput
from isthmus_text.storage import LAYOUT, WORDS
from isthmus_text.texts import Texts


@final
@dataclass(frozen=True, eq=False, repr=False)
class TextAutoencoder(AutoencoderFace[InputOutput, Texts, list[str]]):
    """A trained model with its tokenizer. Created by ``fit`` or ``load``; immutable.

    Texts are given as ``Texts``, as one string, or as anything else that ``Texts.read`` accepts (paths as ``Path``).
    The methods that decode (``decode``, ``reconstruct``, ``sample``, ``interpolate``) have these options:

    - ``strategy``: ``beam`` searches for the most probable text, ``greedy`` takes the most probable token at each step,
      ``nucleus`` samples. The default is ``nucleus`` in ``sample`` and ``beam`` elsewhere.
    - ``beams``, ``length_power``, ``top_p``, ``temperature``: options of the strategy, see ``isthmus.tasks.generate``.
    - ``draws``: number of additional samples for each code; all candidates are encoded again, and the one whose code is
      nearest is returned.
    - ``corrections``: of models with a frozen pretrained encoder: rounds of a search that starts from these candidates,
      changes words and keeps what brings the embedding nearer; each takes about 50 texts through the encoder for each
      text of 8 words.
    """

    card_words: ClassVar[CardWords] = WORDS
    write_options: ClassVar[tuple[str, ...]] = (
        "strategy",
        "draws",
        "corrections",
        "beams",
        "length_power",
        "top_p",
        "temperature",
    )
    sample_options: ClassVar[Mapping[str, Any]] = {"strategy": "nucleus"}

    @classmethod
    def fit(
        cls,
        texts: Any,
        model: str = "auto",
        *,
        tokenizer: str | Path = "bpe",
        vocabulary: int | None = None,
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
        shard: str | None = None,
        log: Log | None = None,
        run: Run | None = None,
        **settings: Any,
    ) -> TextAutoencoder:
        """Train a model. Ctrl-C ends the training and keeps the best model so far (``history.interrupted``).

        Args:
            texts: texts, or anything that ``Texts.read`` accepts; a string is a path.
            model: name of a builder; ``isthmus models`` lists them. "auto" is ``sequence-autoencoder``, which writes
                texts back and searches them, or ``sequence-vae`` if a setting is given that only it has, such as
                ``collapse`` or ``beta``; to draw new texts, take ``sequence-vae``.
            tokenizer: ``bpe`` (byte-pair encoding, lossless) or ``word`` (separated by spaces), trained on the texts,
                or the path of a pretrained tokenizer.
            vocabulary: maximum vocabulary size of a trained tokenizer; by default 8,000, and 4,000 byte pairs for
                the two sequence models.
            max_length: maximum number of tokens in a text, including the end token; longer texts are truncated. By
                default the length of the longest of 10,000 texts, at most 256.
            validation: share of the texts that is held out to choose the best epoch and to calibrate the anomaly
                threshold. With 0, or fewer than 50 texts, the last epoch is kept and the threshold is calibrated on
                training texts.
            contamination: share of normal texts that may be flagged as anomalies.
            gallery: whether the texts can be searched afterwards; the bundle then contains them and their codes.
            column, encoding, delimiter, header: the column of a table that holds the texts, and how a file is written;
                detected if not given, and remembered for later files. See ``Texts.read``.
            vectors: embeddings of these texts by a frozen encoder or a teacher, if they are already known.
            seed, device, precision, checkpoints, resume, time_limit: how training is run; see ``isthmus.training.run``.
            shard: "batches" splits each batch over the processes that ``torchrun`` started. All of them call this
                method in the same way and get the same model, which only process 0 saves.
            progress: whether to show the progress, or a ``Progress`` object that receives it.
            log: called with the record of each epoch; see ``isthmus.training.loggers``.
            run: all of these as one object.
            settings: keywords of the builder, such as ``code`` and ``epochs``. The two sequence models by default read
                about 9 MB of text, in at most 40 epochs (``sequence-vae``: 30), with ``tokens=1024`` and
                ``decay="cosine"``.

        Returns:
            The trained model.

        Raises:
            SettingError: no such model, or a setting that it does not have or accept.
            InputError: texts that cannot be read or trained on.
            NonFiniteLossError: the loss became NaN or infinite.
        """
        name = fit.chosen_model(model, settings)
        request = FitRequest(fit.PLUGIN, name, settings, validation, contamination, gallery)
        tokens = fit.TokenRequest(tokenizer, vocabulary, max_length)
        how = Run.gather(run, seed, device, precision, progress, checkpoints, resume, time_limit, log, shard=shard)
        check_network(how, name, "")
        told = Told.of(encoding, delimiter, header)
        data = texts if isinstance(texts, Texts) else Texts.read(texts, column=column, **told.asdict())
        made = fit.fit(data, request, tokens, vectors, how)
        said = told.said() | ({} if column is None else {"column": column})
        return cls(replace(made, facts={**made.facts, FILE: said}) if said else made)

    def encode(self, texts: Any, *, out: str | Path | None = None, **file: Unpack[TextFileOptions]) -> Codes:
        """Encode texts: one code for each text, in order. Encoding is deterministic.

        Args:
            texts: any number of texts, one string, a file as ``Path`` or a table; of an iterator, a few thousand texts
                are kept in memory at a time. Texts longer than the model's maximum are truncated.
            out: a new ``.npy`` file for the codes, if they do not fit in memory.
            file: column, encoding, delimiter and header of a file, if they differ from those in ``fit``.

        Returns:
            float32, shape (texts, ``code_width``); a read-only memory map of ``out`` if given.

        Raises:
            InputError: a value that is not text, or ``out`` exists.
        """
        streamed = isinstance(texts, Iterator | Sequence) and not isinstance(texts, str)
        given = texts if streamed else self._read(texts, **file)
        return encode(self.model, self.adapter.input, given, None if out is None else Path(out))

    def evaluate(self, texts: Any, *, samples: int = 0, seed: int = 0) -> TextEvaluation:
        """Evaluate how well held-out texts are encoded and decoded.

        Args:
            texts: texts that were not trained on, or anything that ``fit`` accepts; a string is a path.
            samples: importance samples per text for ``weighted_nll``; 0 skips it, 500 is usual.
            seed: seed of these samples.

        Returns:
            Means over the texts; see ``TextEvaluation``.

        Raises:
            SettingError: samples below 0, or samples for a model without a posterior.
        """
        read = self._read(Path(texts) if isinstance(texts, str) else texts)
        return evaluate(self.model, self.adapter, read, samples=samples, seed=seed)

    def to_onnx(self, folder: str | Path) -> Path:
        """Not for texts: what turns them into numbers, the tokenizer, has no form in ONNX.

        Args:
            folder: nothing is written.

        Raises:
            SettingError: always; it says what to do instead.
        """
        raise SettingError(
            "a model of texts, whose tokenizer has no form in ONNX",
            expected="a recommender, or an autoencoder of images or of rows of numbers",
            remedy="write its encoder with isthmus_text.to_sentence_transformers, which optimum exports to ONNX",
        )

    @classmethod
    def _layout(cls) -> BundleLayout[InputOutput]:
        return LAYOUT

    def _read(self, source: Any, **file: Unpack[TextFileOptions]) -> Texts:
        if isinstance(source, Path):
            return read_alike(source, self.facts, **file)
        return Texts.read([source]) if isinstance(source, str) else Texts.of(source)

    def _codes(self, records: Texts) -> Tensor:
        return torch.from_numpy(encode(self.model, self.adapter.input, records))

    def _write(
        self,
        codes: Tensor,
        seed: int,
        *,
        strategy: str = "beam",
        draws: int = 0,
        corrections: int = 0,
        **options: Any,
    ) -> list[str]:
        draws, corrections = whole("draws", draws), whole("corrections", corrections)
        if (draws or corrections) and len(codes):
            return decode_nearest(self.model, self.adapter, codes, strategy, seed, draws, corrections, **options)
        return decode(self.model, self.adapter, codes, strategy, seed, **options)

    def _names(self, records: Texts) -> tuple[Texts, None]:
        return records, None

    def _anomaly_scores(self, records: Texts) -> Tensor:
        check_writes(self.model, "anomaly scores")
        return nats_per_token(self.model, self.adapter.source(self.model, records))
