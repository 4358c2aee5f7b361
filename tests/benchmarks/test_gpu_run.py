"""The prepared run for machines with a GPU runs to its end on one without."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parents[2] / "benchmarks" / "gpu" / "run.sh"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
def test_the_prepared_run_reaches_its_end(tmp_path: Path) -> None:
    environment = os.environ | {"OUT": str(tmp_path), "PYTHON": sys.executable}
    done = subprocess.run(["bash", str(RUN), "--smoke"], env=environment, capture_output=True, text=True, check=False)
    told = (tmp_path / "gpu.log").read_text(encoding="utf-8")
    assert done.returncode == 0, told
    assert all(f'"part": "{part}"' in told for part in ("step", "training", "answers"))
