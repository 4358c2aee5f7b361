"""Settings that had other names in earlier versions are read under today's."""

import json

from isthmus.bundle.manifest import MANIFEST, peek
from isthmus.bundle.renamed_settings import current


def test_keywords_and_values_get_their_names_of_today():
    old = {"active": 8, "likelihood": "shared", "epochs": 3}
    assert current("sparse", old) == {"k": 8, "likelihood": "learned-scale", "epochs": 3}
    assert list(current("sparse", old)) == ["k", "likelihood", "epochs"]


def test_of_another_builder_a_keyword_stays():
    assert current("counting", {"active": 8}) == {"active": 8}


def test_what_has_its_name_already_stays():
    new = {"k": 8, "likelihood": "per-dimension-scale", "noise": "levels", "parts": None}
    assert current("sparse", new) == new


def test_parts_of_a_blend_are_settings_too():
    parts = [{"model": "sparse", "settings": {"active": 2}}, "ease"]
    assert current("blend", {"parts": parts}) == {"parts": [{"model": "sparse", "settings": {"k": 2}}, "ease"]}


def test_a_mult_vae_of_before_has_the_decoder_of_before():
    old = {"hidden": 30, "code": 4}
    assert current("mult_vae", old) == {**old, "decoder": 30, "initial": "glorot"}
    inside = {"of": "mult_vae", "half_life": 3.0, "settings": old}
    assert current("recent", inside)["settings"]["decoder"] == 30
    new = {**old, "decoder": 0, "initial": "inputs"}
    assert current("mult_vae", new) == new


def test_a_manifest_is_read_so(tmp_path):
    document = {
        "format": "isthmus-bundle",
        "format_version": 1,
        "plugin": "vectors",
        "builder": "sparse",
        "settings": {"active": 4},
        "facts": {},
        "versions": {},
        "created": "",
        "files": {"weights.safetensors": {"sha256": "0" * 64, "bytes": 1}},
    }
    (tmp_path / MANIFEST).write_text(json.dumps(document))
    assert peek(tmp_path).settings == {"k": 4}
