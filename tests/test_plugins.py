"""Plugins are found without being imported, and what is wrong with one is said with the remedy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from plugging import WORKING, Announce, announce, write_distribution

from isthmus import plugins
from isthmus.errors import MissingLibraryError, MissingPluginError, NameClashError, PluginError, SettingError

__all__ = ["announce"]


def test_ours_is_announced_like_anybodys() -> None:
    said = plugins.announcement("interactions")
    assert (said.distribution, said.value) == ("isthmus", "isthmus_interactions.plugin:plugin")
    assert said in plugins.installed()


def test_listing_imports_nothing(announce: Announce) -> None:
    announce("letters", "raise AssertionError('imported')")
    assert [said.name for said in plugins.installed()] == ["images", "interactions", "letters", "text", "vectors"]
    code = (
        "import sys; from isthmus import plugins; plugins.installed()\n"
        "print([m for m in ('torch', 'faiss', 'isthmus_interactions', 'isthmus.protocols') if m in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_a_plugin_is_loaded_by_name(announce: Announce) -> None:
    announce("letters")
    plugin = plugins.load("letters")
    assert list(plugin.builders) == ["count_vae"]
    assert plugins.load("letters") is plugin


def test_what_was_installed_a_moment_ago_is_found(announce: Announce) -> None:
    with pytest.raises(MissingPluginError):
        plugins.load("letters")
    announce("letters")
    plugins.load("letters")


def test_a_missing_plugin_lists_what_is_there(announce: Announce, monkeypatch: pytest.MonkeyPatch) -> None:
    announce("letters")
    with pytest.raises(MissingPluginError, match=r"'leters'.*interactions, letters.*did you mean 'letters'"):
        plugins.load("leters")
    monkeypatch.setattr(plugins, "FIRST_PARTY", ("sounds",))
    with pytest.raises(MissingPluginError, match=r'pip install --upgrade "isthmus\[sounds\]"'):
        plugins.load("sounds")


def test_the_same_distribution_twice_is_no_clash(announce: Announce) -> None:
    old = announce("letters", "raise AssertionError('shadowed')")
    announce("letters")
    write_distribution(old, "Letters", "letters = elsewhere:plugin", version="0.9")
    assert [said.name for said in plugins.installed()] == ["images", "interactions", "letters", "text", "vectors"]
    assert "count_vae" in plugins.load("letters").builders


def test_a_clash_names_both_origins_and_harms_nobody_else(announce: Announce) -> None:
    announce("letters")
    announce("letters", distribution="other-letters")
    announce("numbers", distribution="numbers")
    for ask in (plugins.installed, lambda: plugins.load("letters"), lambda: plugins.announcement("letters")):
        with pytest.raises(NameClashError, match=r"other-letters 1\.0 .* and letters 1\.0") as raised:
            ask()
        assert "pip uninstall" in str(raised.value)
    assert plugins.load("numbers").commands
    assert plugins.find_builder("count-vae")[0] == "numbers"
    assert plugins.names() == ["images", "interactions", "letters", "numbers", "text", "vectors"]


@pytest.mark.parametrize(
    ("metadata", "remedy"),
    [
        ("Provides-Extra: letters\n", 'pip install "letters-dist[letters]"'),
        (
            'Provides-Extra: maps\nRequires-Dist: absent-library>=2; extra == "maps"\n',
            'pip install "letters-dist[maps]"',
        ),
        ("Requires-Dist: absent_library\n", 'pip install --upgrade "letters-dist"'),
        ("", "pip install absent_library"),
    ],
)
def test_a_missing_library_is_named_with_what_mends_it(announce: Announce, metadata: str, remedy: str) -> None:
    announce("letters", "import absent_library.part\nplugin = 1", "letters-dist", metadata)
    with pytest.raises(MissingLibraryError, match="needs the library 'absent_library'") as raised:
        plugins.load("letters")
    assert raised.value.remedy == remedy


def test_a_library_that_is_too_old_or_broken(announce: Announce) -> None:
    announce("letters", "from json import not_in_this_version\nplugin = 1")
    with pytest.raises(MissingLibraryError, match=r"'json'.*not_in_this_version"):
        plugins.load("letters")
    announce("shapes", "raise ImportError('libshape.so: cannot open shared object')", "shapes")
    with pytest.raises(MissingLibraryError, match=r"libshape\.so") as raised:
        plugins.load("shapes")
    assert raised.value.remedy == 'pip install --upgrade "shapes"'


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import isthmus.from_the_future", "made for another isthmus"),
        ("import made_up_letters_1.part", "announcement is wrong"),
        ("x = 1", "AttributeError"),
        ("1 / 0", "ZeroDivisionError"),
        ("def broken(:", "SyntaxError"),
        ("plugin = 3", "yields a int"),
    ],
)
def test_a_plugin_that_cannot_be_used(announce: Announce, source: str, message: str) -> None:
    announce("letters", source)
    with pytest.raises(PluginError, match=message) as raised:
        plugins.load("letters")
    assert not isinstance(raised.value, MissingLibraryError)


def test_one_that_cannot_be_loaded_is_left_out(announce: Announce, caplog: pytest.LogCaptureFixture) -> None:
    announce("letters")
    announce("broken", "1 / 0", "broken")
    assert "letters" in plugins.load_all()
    assert "broken" not in plugins.load_all()
    assert "left out" in caplog.text


def test_builders_are_found_by_either_name(announce: Announce) -> None:
    announce("letters")
    owner, builder = plugins.find_builder("count-vae")
    assert owner == "letters"
    assert plugins.find_builder("count_vae", "letters") == (owner, builder)
    with pytest.raises(SettingError, match=r"'count-vea'.*did you mean 'count-vae'"):
        plugins.find_builder("count-vea")
    with pytest.raises(SettingError, match=r"no model 'os\.system' in plugin 'letters'"):
        plugins.find_builder("os.system", "letters")
    with pytest.raises(MissingPluginError):
        plugins.find_builder("count-vae", "numbers")


def test_two_builders_of_one_name_need_their_plugin(announce: Announce) -> None:
    announce("letters")
    announce("numbers", WORKING, "numbers")
    with pytest.raises(NameClashError, match="letters, numbers"):
        plugins.find_builder("count-vae")
    assert plugins.find_builder("count-vae", "numbers")[0] == "numbers"


def test_names_of_builders() -> None:
    assert plugins.python_name("mult-vae") == "mult_vae"
    assert plugins.command_name("mult_vae") == "mult-vae"
    assert plugins.closest("recomend", ["recommend", "similar"]) == "did you mean 'recommend'?"
    assert plugins.closest("xyz", ["recommend"]) == ""


def test_broken_metadata_are_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_distribution(tmp_path, "odd", "odd = odd:plugin")
    (tmp_path / "odd-1.0.dist-info" / "METADATA").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert "interactions" in [said.name for said in plugins.installed()]
