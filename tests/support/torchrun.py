"""Starts several processes as ``torchrun`` does, and ends all of them when they take too long."""

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SCRIPT = Path(__file__).parent / "sharded_runs.py"
TEXT_SCRIPT = SCRIPT.with_name("text_runs.py")


def started(processes: int, *arguments: str) -> subprocess.Popen[str]:
    """``torchrun`` in a session of its own, with one thread a process."""
    path = os.pathsep.join(map(str, (ROOT / "src", ROOT / "adapters", ROOT / "tests" / "support")))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return subprocess.Popen(
        [*command, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def ended(job: subprocess.Popen[str], seconds: float) -> str:
    """What a job printed. One that is still there after so many seconds is killed, and the test fails."""
    try:
        return job.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        end(job)
        told = job.communicate()[0]
        raise AssertionError(f"the job did not end within {seconds} s:\n{told[-4000:]}") from None


def end(job: subprocess.Popen[str]) -> None:
    """Kill torchrun; its processes notice, because each of them has a session of its own that it ends first."""
    job.terminate()
    try:
        job.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(job.pid, signal.SIGKILL)


def torchrun(processes: int, *arguments: str, seconds: float = 240) -> str:
    """What a job printed that ended well."""
    job = started(processes, *arguments)
    told = ended(job, seconds)
    assert job.returncode == 0, told[-4000:]
    return told


def run_jobs(processes: int, out: Path, *options: str, script: Path = SCRIPT) -> None:
    """The jobs of ``sharded_runs`` or ``text_runs``, whose bundles are in ``out`` afterwards."""
    torchrun(processes, str(script), str(out), *options)
