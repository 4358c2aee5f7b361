"""Several processes at one port: signals and requests reach all of them, and one that ends is replaced."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from tiny_faces import made

from isthmus.cli import main
from isthmus.serve.measuring.child import Child, served

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are found in /proc"),
]

ASKED = 40


def workers(child: Child) -> list[int]:
    """The processes that answer."""
    task = f"/proc/{child.process.pid}/task/{child.process.pid}/children"
    found = map(int, Path(task).read_text(encoding="ascii").split())
    return [one for one in found if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]


def wait_until(condition: Callable[[], object], child: Child) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, child.log.read_text()
        time.sleep(0.1)


def told(child: Child, text: str) -> int:
    return child.log.read_text().count(text)


def builders(child: Child) -> set[str]:
    """The models that answer, over many connections."""
    answers = [httpx.get(f"{child.address}/v1/models").json() for _ in range(ASKED)]
    return {one["data"][0]["about"]["builder"] for one in answers}


def counted(child: Child) -> float:
    lines = httpx.get(f"{child.address}/metrics").text.splitlines()
    return sum(
        float(line.rpartition(" ")[2]) for line in lines if line.startswith('isthmus_requests_total{path="/v1/m')
    )


def test_reloads_and_an_orderly_end_reach_all(tmp_path: Path) -> None:
    path = tmp_path / "model.bundle"
    made("ease").save(path)
    with served(str(path), "--workers", "2", "--allow-reload") as child:
        both = workers(child)
        assert len(both) == 2
        assert builders(child) == {"ease"}
        # Whichever worker is asked, it tells the figures of both.
        assert [counted(child) for _ in range(5)] == [ASKED] * 5
        made("mult-vae").save(path)
        child.process.send_signal(signal.SIGHUP)
        wait_until(lambda: told(child, '"reloaded"') == 2, child)
        assert builders(child) == {"mult-vae"}
        made("ease").save(path)
        assert httpx.post(f"{child.address}/v1/reload").status_code == 200
        wait_until(lambda: told(child, '"reloaded"') == 4, child)
        assert builders(child) == {"ease"}
        (path / "manifest.json").write_text("{")
        child.process.send_signal(signal.SIGHUP)
        wait_until(lambda: told(child, '"reload failed"') == 2, child)
        assert builders(child) == {"ease"}
        child.process.send_signal(signal.SIGTERM)
        assert child.process.wait(60) == 0
        assert told(child, '"stopped"') == 1
        assert not [one for one in both if Path(f"/proc/{one}").exists()]


def test_a_worker_that_ends_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "model.bundle"
    made("ease").save(path)
    with served(str(path), "--workers", "2") as child:
        first, second = workers(child)
        os.kill(first, signal.SIGKILL)
        assert httpx.post(f"{child.address}/v1/recommend", json={"history": [1]}).status_code == 200
        wait_until(lambda: len(workers(child)) == 2, child)
        assert told(child, '"worker ended"') == 1
        assert second in workers(child)
        assert first not in workers(child)
        # Workers do not outlive a parent that is killed.
        left = workers(child)
        child.process.kill()
        wait_until(lambda: not any(Path(f"/proc/{one}").exists() for one in left), child)


def test_what_cannot_start_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", str(tmp_path / "none"), "--workers", "2", "--port", "0"]) == 2
    assert "none" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGHUP")
def test_signals_are_as_before(tmp_path: Path) -> None:
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    assert main(["serve", str(tmp_path / "none"), "--workers", "2", "--port", "0"]) == 2
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
    assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ
