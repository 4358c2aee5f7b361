"""Vectors compressed to a few bytes each, and a search over the bytes with uncompressed queries.

    compressor = Compressor.fit(vectors, bytes=24)
    codes = compressor.encode(vectors)                 # uint8, shape (rows, 24)
    found = compressor.search(queries, codes, k=10)    # row numbers and inner products
    compressor.save("compressor.bundle")

Only directions are kept, as for vectors that are compared by cosine; decoded vectors have length 1. Codes are coarse to
fine: the leading bytes of a code are also a valid code for ``decode`` and ``search``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Unpack

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from isthmus import bundle
from isthmus.batch import Vector
from isthmus.bundle.in_memory import Content, packed, unpacked
from isthmus.bundle.tensors import state_of
from isthmus.cards import CardWords, card_maker
from isthmus.checked.arguments import whole
from isthmus.checked.dense import real_numbers
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.residual_quantised import ResidualQuantizer
from isthmus.core.encoders import DenseEncoder
from isthmus.errors import BundleError, InputError, ValueRangeError
from isthmus.files import NOTHING_TOLD, FileOptions, Told, told_in
from isthmus.index.search import SearchHits, row_hits
from isthmus.index.vectors import check_k, check_vectors, normalised
from isthmus.models.matryoshka import decoded_of, matryoshka
from isthmus.models.recipes.rebuild import rebuild
from isthmus.models.recipes.settings import checked
from isthmus.plots import Missing, Panel, training_panels
from isthmus.reprs import counted, described
from isthmus.sources import VectorSource
from isthmus.training.history import History
from isthmus.training.interrupts import warn_of_interruption
from isthmus.training.loggers import Log
from isthmus.training.progress import Progress
from isthmus.training.run import Run
from isthmus_vectors.card import COMPRESSOR
from isthmus_vectors.columns import Columns, Known, Places
from isthmus_vectors.compression import kept
from isthmus_vectors.compression.code_search import BLOCK, Codes, nearest
from isthmus_vectors.vectors import Vectors

PLUGIN, BUILDER = "vectors", "matryoshka"

FEWEST = 256
"""Minimum number of training vectors: one for each word of a codebook."""

BEAMS, MOST_BEAMS = 8, 4096
"""Default and maximum width of the beam search for codewords."""

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False, repr=False)
class Compressor:
    """Created by ``fit`` or ``load``; immutable.

    Attributes:
        model: the autoencoder, of vectors whose numbers have a mean square of 1.
        settings: the builder's keywords, see ``isthmus.models.matryoshka``.
        history: history of the training.
        columns: names of the training columns; None if they had none.
        places: positions of the columns in rows without names, if some columns were left out.
        written: file options that the caller gave for the training file.
        kept: quality of codes of each length, see ``compression.kept.measured``; None for bundles of earlier versions.
        card_words: text of the model card for compressors.
    """

    card_words: ClassVar[CardWords] = COMPRESSOR

    model: Autoencoder
    settings: Mapping[str, Any]
    history: History
    columns: tuple[str, ...] | None = None
    places: Places | None = None
    written: Told = NOTHING_TOLD
    kept: Mapping[str, Any] | None = None

    def __repr__(self) -> str:
        return described(self, f"vectors of {counted(self.width, 'number')} in {counted(self.bytes, 'byte')}")

    @classmethod
    def fit(
        cls,
        vectors: Any,
        bytes: int = 24,
        *,
        columns: Columns | None = None,
        drop: Columns = (),
        encoding: str | None = None,
        delimiter: str | None = None,
        header: bool | None = None,
        seed: int = 0,
        device: str = "cpu",
        precision: str = "auto",
        progress: Progress | bool = True,
        checkpoints: str | Path | None = None,
        resume: bool = False,
        time_limit: float | None = None,
        log: Log | None = None,
        run: Run | None = None,
        **settings: Any,
    ) -> Compressor:
        """Fit a compressor to examples.

        Args:
            vectors: an array of shape (rows, width), a table, a file or anything else that ``Vectors.read`` accepts;
                about ten thousand rows are recommended, and 256 are the minimum.
            bytes: length of a code.
            columns: names of the columns to use, such as that of a column of lists; positions, for rows without names.
                None for all. The compressor remembers them.
            drop: names or positions of columns to leave out, such as ids.
            encoding, delimiter, header: format of a text file, if it is not detected correctly; remembered, too.
            seed, device, precision, checkpoints, resume, time_limit: how training is run; see ``isthmus.training.run``.
            log: called with the record of each epoch; see ``isthmus.training.loggers``.
            progress: whether to show the progress, or a ``Progress`` object that receives it.
            run: all of these as one object.
            settings: further keywords of ``isthmus.models.matryoshka``.

        Returns:
            The fitted compressor.

        Raises:
            InputError: not rows of numbers, sparse rows, or fewer than 256.
            ColumnError: a column that is missing or not numeric.
            ValueRangeError: NaN or infinity, or a vector of zeros.
            SettingError: an unknown setting, or a value outside its range.
        """
        rows = Vectors.for_training(vectors, columns, drop, encoding=encoding, delimiter=delimiter, header=header)
        examples = _directions(_tensor(rows))
        if len(examples) < FEWEST:
            raise InputError(f"{counted(len(examples), 'vector')} to train on", expected=f"at least {FEWEST}")
        usual = Run(device="cpu")
        run = Run.gather(run, seed, device, precision, progress, checkpoints, resume, time_limit, log, default=usual)
        keywords = checked(BUILDER, matryoshka, {"bytes": bytes, **settings})
        recipe = matryoshka(Vector(examples.shape[1]), generator=run.generator(), **keywords)
        history = recipe.fit(VectorSource(examples), run)
        if history.interrupted:
            warn_of_interruption(history, [])
        fitted = cls(recipe.model.cpu().eval(), keywords, history, rows.columns, rows.places, rows.written)
        some = kept.sample_of(examples)
        return replace(fitted, kept=kept.measured(some, fitted._encoded(some, fitted.bytes, BEAMS), fitted._decoded))

    def panels(self) -> list[Panel | Missing]:
        """The panels of ``isthmus.plots.overview``, the picture that ``isthmus plot`` draws.

        Returns:
            The quality of codes of each length, the use of the bytes' values, and the training curves, if any; or the
            reason why a panel is missing.
        """
        course = training_panels(self.history)
        return [*kept.panels(self.kept), *(course if self.settings.get("epochs") else ())]

    @property
    def width(self) -> int:
        """The number of dimensions of a vector."""
        return len(self.model.readout.weight)  # type: ignore[attr-defined]

    @property
    def bytes(self) -> int:
        """The length of a complete code."""
        return len(_quantizer(self.model).codebooks)

    @torch.no_grad()
    def encode(
        self, vectors: Any, bytes: int | None = None, *, beams: int = BEAMS, **file: Unpack[FileOptions]
    ) -> npt.NDArray[np.uint8]:
        """Codes of vectors.

        Args:
            vectors: shape (rows, width), or a table or file; columns are found by name, as everywhere in this adapter.
            bytes: length of a shorter code, which is slightly better than the leading bytes of a complete one; None for
                complete codes.
            beams: width of the beam search for codewords; more are better and slower.
            file: encoding, delimiter and header of a text file, if they differ from those in ``fit``.

        Returns:
            Shape (rows, bytes).

        Raises:
            SettingError: ``beams`` below 1, or more bytes than a code has.
            InputError: vectors of another width.
            ValueRangeError: NaN or infinity, or a vector of zeros.
        """
        size = self.bytes if bytes is None else bytes
        size, beams = whole("bytes", size, least=1, most=self.bytes), whole("beams", beams, least=1, most=MOST_BEAMS)
        return self._encoded(_directions(self._read(vectors, **file)), size, beams)

    @torch.no_grad()
    def _encoded(self, given: Float[Tensor, "rows width"], size: int, beams: int) -> Codes:
        encoder, quantiser = self.model.encoder, _quantizer(self.model)
        assert isinstance(encoder, DenseEncoder)
        parts = [
            quantiser.codewords(encoder.trunk(some, None), size, beams).to(torch.uint8) for some in given.split(BLOCK)
        ]
        codes: npt.NDArray[np.uint8] = torch.cat(parts).numpy()
        return codes

    def decode(self, codes: Array) -> npt.NDArray[np.float32]:
        """Approximate the encoded vectors, from complete codes or from their leading bytes.

        Args:
            codes: uint8, shape (rows, bytes).

        Returns:
            Vectors of length 1, shape (rows, width).

        Raises:
            InputError: not a matrix of bytes, or more bytes than a code has.
        """
        given = self._checked_codes(codes)
        parts = [self._decoded(given[start : start + BLOCK]) for start in range(0, max(1, len(given)), BLOCK)]
        decoded: npt.NDArray[np.float32] = torch.cat(parts).numpy()
        return decoded

    @torch.no_grad()
    def search(self, queries: Any, codes: Array, k: int = 10) -> SearchHits:
        """The ``k`` rows of ``codes`` with the largest inner product of query and decoded vector.

        Args:
            queries: vectors, as for ``encode``.
            codes: the result of ``encode``.
            k: number of rows per query.

        Returns:
            Results like those of ``Index.search``, a list for each query: ``ids`` are the row numbers of the codes,
            ``scores`` inner products; best first, ties by ascending row, including equal codes. Fewer than ``k`` if
            there are fewer codes.

        Raises:
            SettingError: ``k`` below 1.
            InputError: queries of another width, or invalid codes.
            ValueRangeError: NaN or infinity in the queries.
        """
        asked = self._read(queries)
        k = check_k(k, len(asked))
        return row_hits(nearest(asked, self._checked_codes(codes), self._decoded, k))

    def save(self, path: str | Path, *, card: bool = True) -> None:
        """Save as a bundle.

        Args:
            path: path of the bundle.
            card: whether to write a model card, ``README.md``, into it.

        Raises:
            InputError: the path exists and is not a bundle.
        """
        bundle.write(path, **self._content(), card=card_maker(self.card_words, {}, card))

    @classmethod
    def load(cls, path: str | Path) -> Compressor:
        """Load a saved compressor, which encodes and decodes to the same numbers.

        Raises:
            BundleError: the directory is truncated, altered, not a compressor, or from a newer version.
        """
        saved = bundle.read(path)
        manifest = saved.manifest
        if (manifest.plugin, manifest.builder) != (PLUGIN, BUILDER):
            raise BundleError(f"{str(path)!r} holds {manifest.builder} of {manifest.plugin}", expected="a compressor")
        with bundle.as_damage(path):
            return cls(*_restored(saved))

    def __getstate__(self) -> dict[str, Any]:
        return packed(self._content())

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        Compressor.__init__(self, *_restored(unpacked(state)))

    def _content(self) -> Content:
        return Content(
            plugin=PLUGIN,
            builder=BUILDER,
            settings=self.settings,
            tensors=state_of(self.model),
            documents={},
            facts={"width": self.width, "training": self.history.to_json(), **self._facts()},
        )

    def _facts(self) -> dict[str, Any]:
        """Facts that bundles of compressors without column names do not have, including those of version 0.1."""
        named = {} if self.columns is None else {"columns": list(self.columns)}
        placed = {} if self.places is None else {"places": list(self.places.chosen), "places_of": self.places.width}
        told = {"file": self.written.said()} if self.written.said() else {}
        return named | placed | told | ({} if self.kept is None else {"kept": dict(self.kept)})

    def _read(self, vectors: Any, **file: Unpack[FileOptions]) -> Float[Tensor, "rows width"]:
        if getattr(vectors, "shape", None) == (0, self.width):
            return torch.empty(0, self.width)  # an empty batch is valid, unlike an empty file
        known = Known(self.columns, self.width, self.places, self.written)
        return _tensor(Vectors.read(vectors, known=known, **file))

    def _checked_codes(self, codes: Array) -> Codes:
        given = real_numbers(codes, "codes")
        if given.dtype != np.uint8 or given.ndim != 2 or not 1 <= given.shape[1] <= self.bytes:
            raise InputError(
                f"codes of type {given.dtype} and shape {given.shape}", expected=f"uint8, shape (rows, {self.bytes})"
            )
        return given

    @torch.no_grad()
    def _decoded(self, codes: Codes) -> Float[Tensor, "rows width"]:
        words = torch.from_numpy(codes.astype(np.int64))
        return normalised(decoded_of(self.model, _quantizer(self.model).sum(words)))


def _restored(saved: bundle.Bundle) -> tuple[Any, ...]:
    """The fields of a saved compressor, in order."""
    settings, facts = saved.manifest.settings, saved.manifest.facts
    model = rebuild(matryoshka, Vector(int(facts["width"])), settings, saved.tensors)
    assert isinstance(model, Autoencoder)
    columns, places = facts.get("columns"), facts.get("places")
    names = None if columns is None else tuple(columns)
    chosen = None if places is None else Places(tuple(places), int(facts["places_of"]))
    history, written = History.from_json(dict(facts["training"])), told_in(facts.get("file", {}))
    return model, settings, history, names, chosen, written, _checked_kept(facts.get("kept"))


def _checked_kept(found: Any) -> Mapping[str, Any] | None:
    """The quality recorded in a manifest, with checked types."""
    return None if found is None else {name: [float(one) for one in found[name]] for name in kept.NAMES}


def _quantizer(model: Autoencoder) -> ResidualQuantizer:
    quantiser = model.bottleneck
    assert isinstance(quantiser, ResidualQuantizer)
    return quantiser


def _directions(vectors: Float[Tensor, "rows width"]) -> Float[Tensor, "rows width"]:
    """The vectors, scaled so that their numbers have a mean square of 1."""
    zero = (vectors == 0).all(1)
    if bool(zero.any()):
        raise ValueRangeError(f"vector {int(zero.nonzero()[0])} is all zeros", expected="vectors with a direction")
    return normalised(vectors) * math.sqrt(vectors.shape[1])


def _tensor(rows: Vectors) -> Float[Tensor, "rows width"]:
    if rows.is_sparse:
        raise InputError("sparse rows", expected="dense ones")
    tensor = torch.from_numpy(np.ascontiguousarray(rows.values, dtype=np.float32))
    check_vectors(tensor)
    return tensor
