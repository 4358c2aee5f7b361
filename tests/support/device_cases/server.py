"""Runs cases on the pretend device, each in a process of its own.

A server installs the device, imports what a case needs once, and forks for each case. It reads one line of JSON (the
module of the case, its function and arguments) and writes one (what the function returned, or the error).
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

SUPPORT = Path(__file__).parents[1]
ROOT = SUPPORT.parents[1]


class Server:
    """The test's end of the line. Starts when it is first asked.

    Args:
        without: what the device has not, such as ``float64 sparse`` for one like MPS.
    """

    def __init__(self, without: str = "") -> None:
        self._without = without
        self._process: subprocess.Popen[str] | None = None

    def __call__(self, module: str, function: str, *arguments: Any) -> Any:
        """What the function returned. Raises AssertionError with the traceback where it failed."""
        if self._process is None:
            self._process = _started(self._without)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([module, function, arguments]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the process of the pretend device died"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["answer"]

    def close(self) -> None:
        if self._process is not None:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.close()
            self._process.wait()
            self._process.stdout.close()


def _started(without: str) -> subprocess.Popen[str]:
    paths = [str(SUPPORT), str(ROOT), str(ROOT / "src"), str(ROOT / "adapters"), os.environ.get("PYTHONPATH", "")]
    own = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "device_cases.server", *without.split()],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | own,
    )  # fmt: skip


def main() -> None:
    # Whatever the cases print goes to standard error; only answers go to the test.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    import pretend_device

    pretend_device.install(sys.argv[1:])
    import torch

    torch.set_num_threads(1)
    for line in sys.stdin:
        module, function, arguments = json.loads(line)
        cases = importlib.import_module(f"device_cases.{module}")
        child = os.fork()
        if child == 0:
            try:
                answer = {"answer": getattr(cases, function)(*arguments)}
            except BaseException:
                answer = {"error": traceback.format_exc()[-3000:]}
            answers.write(json.dumps(answer) + "\n")
            answers.flush()
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
