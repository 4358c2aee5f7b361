"""The frame of the command line: routing, documents, and one clear line for every mistake."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from plugging import WORKING, Announce, announce

from isthmus import __version__, bundle
from isthmus.cli import app, main, output
from isthmus.errors import InputError
from isthmus.plugins import FIRST_PARTY

__all__ = ["announce"]

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*args: object) -> tuple[int, str, str]:
        code = main([str(arg) for arg in args])
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def saved(announce: Announce, tmp_path: Path, run: Run) -> Path:
    announce("letters")
    (tmp_path / "text").write_text("twelve chars")
    code, _, said = run("fit", "letters", tmp_path / "text", "--out", tmp_path / "a")
    assert code == 0, said
    return tmp_path / "a"


def mistake(result: tuple[int, str, str], *parts: str) -> None:
    code, answer, said = result
    assert code == 2, said
    assert answer == ""
    assert said.startswith("isthmus: ")
    assert said.count("\n") == 1
    for part in parts:
        assert part in said, said


# --- the frame's own commands ----------------------------------------------------------------------------------------


def test_help_lists_commands(run: Run) -> None:
    for args in [(), ("--help",), ("-h",), ("help",)]:
        code, answer, said = run(*args)
        assert (code, said) == (0, "")
        for name in ("fit", "demo", "recommend", "adapters", "models", "info"):
            assert f"isthmus {name}" in answer


def test_version(run: Run) -> None:
    assert run("--version") == (0, f"isthmus {__version__}\n", "")


def test_adapters(run: Run, announce: Announce) -> None:
    announce("letters", "raise AssertionError('imported')")
    code, answer, said = run("adapters", "--json")
    assert (code, said) == (0, "")
    document = json.loads(answer)
    assert [said["name"] for said in document["adapters"]] == ["images", "interactions", "letters", "text", "vectors"]
    assert document["adapters"][2]["distribution"] == "letters"
    code, answer, _ = run("adapters")
    assert code == 0
    assert "letters" in answer


def test_a_clash_is_one_line(run: Run, announce: Announce) -> None:
    announce("letters")
    announce("letters", distribution="others")
    mistake(run("adapters", "--json"), "letters 1.0", "others 1.0")


def test_models(run: Run, announce: Announce) -> None:
    announce("letters")
    announce("broken", "1 / 0", "broken")
    code, answer, said = run("models", "--json")
    assert code == 0
    own = [model for model in json.loads(answer)["models"] if model["plugin"] == "letters"]
    told = {"about": "Counts things", "paper": "Nobody 1999", "advice": None}
    assert own == [{"name": "count-vae", "plugin": "letters", **told, "adapters": ["letters"]}]
    assert "broken" in said
    assert "count-vae" in run("models")[1]


def test_info(run: Run, saved: Path) -> None:
    code, answer, _ = run("info", saved, "--json")
    document = json.loads(answer)
    assert code == 0
    assert document["facts"] == {"letters": 12}
    assert document["verified"] is False
    assert document["bytes"] == (saved / "weights.safetensors").stat().st_size
    assert "count-vae for letters" in run("info", saved)[1]
    assert json.loads(run("info", saved, "--verify", "--json")[1])["verified"] is True
    (saved / "weights.safetensors").write_bytes(b"")
    assert run("info", saved)[0] == 0
    mistake(run("info", saved, "--verify"), "0 bytes")


def test_light_commands_import_nothing_heavy() -> None:
    code = (
        "import sys; from isthmus.cli import main\nfor args in (['--help'], ['adapters'], ['--version']): main(args)\n"
        "print([m for m in ('torch', 'faiss', 'scipy', 'pyarrow', 'isthmus_interactions') if m in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-1] == "[]"


# --- dispatch --------------------------------------------------------------------------------------------------------


def test_fit_and_verbs_reach_the_plugin(run: Run, saved: Path) -> None:
    assert bundle.peek(saved).plugin == "letters"
    assert json.loads(run("letters", saved, "--times", "2", "--json")[1]) == {"letters": 24}
    assert json.loads(run("letters", "--times", "3", saved, "--json")[1]) == {"letters": 36}
    assert "12" in run("letters", saved)[1]


def test_demo_takes_a_name_or_the_default(run: Run, announce: Announce, monkeypatch: pytest.MonkeyPatch) -> None:
    announce("letters")
    assert json.loads(run("demo", "letters", "--seed", "3", "--json")[1]) == {"seed": 3}
    monkeypatch.setattr("isthmus.cli.dispatch.DEFAULT_DEMO", "letters")
    assert json.loads(run("demo", "--seed", "4", "--json")[1]) == {"seed": 4}
    assert run("demo") == (0, "counted\n", "")


@pytest.mark.parametrize("args", [("letters", "--help"), ("fit", "--help"), ("fit", "letters", "--help")])
def test_help_without_a_bundle(run: Run, announce: Announce, args: tuple[str, ...]) -> None:
    announce("letters")
    code, answer, _ = run(*args)
    assert code == 0
    assert f"isthmus {args[0]}" in answer
    assert "--json" in answer
    assert "etters" in answer


def test_help_with_a_bundle(run: Run, saved: Path) -> None:
    code, answer, _ = run("letters", saved, "--help")
    assert code == 0
    assert "Tell how many letters" in answer


# --- mistakes --------------------------------------------------------------------------------------------------------


def test_mistakes_in_names(run: Run, saved: Path) -> None:
    mistake(run("lettres"), "no command 'lettres'", "did you mean 'letters'?")
    mistake(run("lettres", saved), "for letters", "did you mean 'letters'?")
    mistake(run("adaptors"), "did you mean 'adapters'?")
    mistake(run("zzzzz"), "see isthmus --help")
    mistake(run("--verbose"), "no option '--verbose'")
    mistake(run("fit"), "interactions, letters")
    mistake(run("fit", "leters", "file"), "did you mean 'letters'?")
    mistake(run("fit", "sounds", "folder"), "no plugin 'sounds' is installed")
    mistake(run("demo", "nobody"), "no plugin 'nobody'")


def test_mistakes_in_arguments(run: Run, saved: Path) -> None:
    mistake(run("fit", "letters"), "'file'", "see isthmus fit letters --help")
    mistake(run("letters", saved, "--times", "many"), "--times 'many'", "a whole number", "see isthmus letters --help")
    mistake(run("letters", saved, "--tmes", "3"), "--tmes")
    mistake(run("letters", saved, "more"), "more")
    mistake(run("info"), "DIR")


def test_mistakes_in_places(run: Run, announce: Announce, tmp_path: Path) -> None:
    announce("letters")
    mistake(run("letters"), "needs a bundle")
    mistake(run("letters", "--json"), "needs a bundle")
    mistake(run("letters", tmp_path / "missing"), "does not exist")
    mistake(run("letters", tmp_path), "no manifest.json")
    mistake(run("info", tmp_path / "missing"), "does not exist")
    mistake(run("fit", "letters", tmp_path / "missing", "--out", tmp_path / "a"), "No such file", "missing")
    assert not (tmp_path / "a").exists()


def test_a_bundle_of_a_plugin_that_is_gone(run: Run, tmp_path: Path) -> None:
    documents: dict[str, str] = {}
    bundle.write(tmp_path / "a", plugin="gone", builder="x", settings={}, tensors={}, documents=documents)
    mistake(run("recommend", tmp_path / "a"), "no plugin 'gone'")
    (tmp_path / "a" / "manifest.json").write_text("{")
    mistake(run("recommend", tmp_path / "a"), "not a JSON")


# --- errors ----------------------------------------------------------------------------------------------------------


def test_every_error_is_one_line(run: Run, saved: Path) -> None:
    for how, code, line in [
        ("input", 2, "isthmus: a strange [31mthing; try another"),
        ("lost", 2, "isthmus: No such file or directory: 'lost.csv'"),
        ("denied", 2, "isthmus: Permission denied: 'secret.csv'"),
        ("folder", 2, "isthmus: Is a directory: 'folder'"),
        ("full", 2, "isthmus: No space left on device"),
        ("memory", 1, "isthmus: not enough memory"),
        (
            "ours",
            1,
            "isthmus: internal error: ZeroDivisionError: division by zero (ISTHMUS_DEBUG=1 shows the traceback",
        ),
        ("ctrl-c", 130, "isthmus: interrupted"),
        ("abort", 130, "isthmus: interrupted"),
        ("exit", 3, ""),
        ("sys-exit", 4, ""),
        ("sys-exit-none", 0, ""),
        ("sys-exit-text", 1, "isthmus: gone"),
    ]:
        found, answer, said = run("fails", saved, how)
        assert (found, answer) == (code, "")
        assert said.startswith(line)
        assert said.count("\n") == (1 if line else 0)
        assert "Traceback" not in said


def test_tracebacks_only_where_asked_for(run: Run, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISTHMUS_DEBUG", "1")
    code, _, said = run("fails", saved, "ours")
    assert code == 1
    assert "Traceback" in said


def test_a_closed_pipe_is_quiet() -> None:
    code = "import sys; from isthmus.cli import main; sys.exit(main(['adapters', '--json']))"
    read, write = os.pipe()
    os.close(read)
    child = subprocess.run([sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert child.stderr == ""
    assert child.returncode == 141


def test_ctrl_c_is_one_line(tmp_path: Path) -> None:
    code = (
        "import sys, time; from isthmus.cli import app\n"
        "def wait() -> None:\n"
        "    '''Wait.'''\n"
        "    print('ready', flush=True); time.sleep(60)\n"
        "app.OWN = {'wait': wait}\n"
        "sys.exit(app.main(['wait']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=30)
    assert (child.returncode, said) == (130, "isthmus: interrupted\n")


def test_every_verb_in_the_help_is_somebodys() -> None:
    own = [pytest.importorskip(f"isthmus_{name}.plugin").plugin for name in FIRST_PARTY]
    usual = {usage.split()[1] for usage, _ in app.PAGE}
    assert usual == {"index", *app.OWN}.union(*(plugin.commands for plugin in own))


# --- documents -------------------------------------------------------------------------------------------------------


def test_documents_hold_json_values_only(capsys: pytest.CaptureFixture[str]) -> None:
    document = {
        "array": np.array([1, 2]),
        "tensor": torch.tensor(0.5),
        "scalar": np.float32(0.25),
        "path": Path("a/b"),
        "tuple": (1, None, True),
        "odd": [float("nan"), np.float64("inf")],
        3: "ä",
    }
    output.emit(document, True, lambda: "unused")
    assert json.loads(capsys.readouterr().out) == {
        "array": [1, 2],
        "tensor": 0.5,
        "scalar": 0.25,
        "path": "a/b",
        "tuple": [1, None, True],
        "odd": [None, None],
        "3": "ä",
    }


def test_tables_show_text_literally(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("[bold]x[/bold] :smile: \x1b[2Jé", 0.123456, 7), ("a" * 300, 1.0, 70)]
    output.emit({}, False, lambda: output.table(("title", "score", "n"), rows))
    shown = capsys.readouterr().out
    assert "[bold]x[/bold] :smile:  [2Jé" in shown
    assert "a" * 300 in shown
    assert "0.1235" in shown
    assert "\x1b" not in shown


def test_what_the_library_logs_is_shown_beside_the_answer(run: Run, announce: Announce) -> None:
    words = 'import logging\nlogging.getLogger("isthmus.letters").info("kept %d rows", 3)\n'
    noise = 'logging.getLogger("elsewhere").info("noise")\n'
    announce("letters", words + noise + WORKING)
    code, answer, said = run("demo", "letters", "--json")
    assert (code, said) == (0, "kept 3 rows\n")
    assert json.loads(answer) == {"seed": 0}


def test_a_function_is_run_as_a_command() -> None:
    from isthmus.cli import dispatch

    def command(count: int) -> None:
        """Count."""

    assert dispatch.run(command, "isthmus count", ["3"]) == 0
    with pytest.raises(InputError, match="'count'"):
        dispatch.run(command, "isthmus count", ["three"])
