"""Rivals in their own processes: what they say, how they fail, when they are left out."""

import sys

import pytest

from benchmarks import processes
from benchmarks.processes import RivalError, Server, answered, available


@pytest.fixture
def script(tmp_path, monkeypatch):
    """A function that writes a rival's script."""
    monkeypatch.setattr(processes, "SCRIPTS", tmp_path)

    def write(text):
        (tmp_path / "rival.py").write_text(text)
        return "rival.py"

    return write


def test_a_rival_may_be_left_out_of_a_smoke_run_alone(tmp_path, capsys):
    assert not available(None, "RecBole", smoke=True)
    assert "RecBole" in capsys.readouterr().err
    with pytest.raises(RivalError, match="RecBole"):
        available(tmp_path / "python", "RecBole", smoke=False)


def test_the_last_line_is_the_answer(script):
    name = script("import os, sys; print('loading'); print(f'[{sys.argv[1]}, {os.environ[\"FAST\"]}]')")
    assert answered(sys.executable, name, 3, env={"FAST": "1"}) == [3, 1]
    assert answered(sys.executable, script("")) is None


def test_a_failure_says_what_the_rival_wrote(script):
    name = script("raise SystemExit('no such model')")
    with pytest.raises(RivalError, match="no such model"):
        answered(sys.executable, name)
    with pytest.raises(RivalError, match="no such model"):
        Server(sys.executable, name, log=processes.SCRIPTS / "log")


def test_a_server_answers_line_by_line(script):
    name = script("import sys; print('ready', flush=True)\nfor line in sys.stdin: print(2 * int(line), flush=True)")
    server = Server(sys.executable, name, log=processes.SCRIPTS / "log")
    assert [server.ask(1), server.ask(4)] == [2, 8]
    server.close()
