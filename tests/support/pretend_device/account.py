"""What a program asked of the pretend device: kernels launched, and moments at which the host had to wait."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

HERE = str(Path(__file__).parent)
OURS = ("/src/isthmus/", "/adapters/isthmus_")


class Account:
    """Counts since the last ``reset``.

    Attributes:
        launches: operations that would be a kernel on CUDA; views are none.
        operations: the same by name.
        waits: moments at which the host waits for the device, by kind and by the lines of isthmus that caused them.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.launches = 0
        self.operations: Counter[str] = Counter()
        self.waits: Counter[tuple[str, str]] = Counter()

    def launch(self, name: str) -> None:
        self.launches += 1
        self.operations[name] += 1

    def wait(self, kind: str) -> None:
        self.waits[kind, caller()] += 1


def caller() -> str:
    """The innermost two lines of isthmus on the stack, innermost first; ``outside`` where there is none."""
    frame, places = sys._getframe(2), []
    while frame is not None and len(places) < 2:
        name = frame.f_code.co_filename
        if any(part in name for part in OURS) and not name.startswith(HERE):
            places.append(f"{name.rpartition('/isthmus')[2].lstrip('/')}:{frame.f_lineno}")
        frame = frame.f_back
    return " < ".join(places) or "outside"


ACCOUNT = Account()
