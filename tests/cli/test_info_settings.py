"""``isthmus info`` shows settings as people write them, and a list of models a line each."""

from __future__ import annotations

from isthmus.cli import builtin


def test_plain_settings_have_a_line_each() -> None:
    assert builtin._setting("code", 100) == [("setting code", "100")]
    assert builtin._setting("decay", "cosine") == [("setting decay", "cosine")]
    assert builtin._setting("patience", None) == [("setting patience", "null")]
    assert builtin._setting("sizes", [3, 4]) == [("setting sizes", "[3, 4]")]


def test_each_part_of_a_blend_has_a_line() -> None:
    parts = [
        {"model": "rec_vae", "settings": {"hidden": 600, "gamma": 0.005, "patience": None}},
        {"model": "ease", "settings": {}},
    ]
    assert builtin._setting("parts", parts) == [
        ("parts 1: rec-vae", "hidden 600, gamma 0.005, patience null"),
        ("parts 2: ease", ""),
    ]
