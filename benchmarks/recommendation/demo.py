"""What does the demo measure? Records the scores that ``isthmus demo`` prints.

python -m benchmarks.recommendation.demo
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.harness import record
from isthmus_interactions.cli.demo import MODELS

COMMAND = "import sys; from isthmus.cli import main; sys.exit(main())"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "books.bundle")
        arguments = [sys.executable, "-c", COMMAND, "demo", "--out", out, "--json"]
        document = json.loads(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout)
    config = {"data": "demo-goodbooks", "people": 2620, "items": 2000, "test_people": 250, "seed": 0}
    line = record(
        "demo_quality",
        configuration={**config, "split": "strong generalisation, 80/20", "settings": MODELS},
        scores=document["scores"],
        chosen=document["chosen"],
        seconds=document["seconds"],
    )
    print(json.dumps(line["scores"], indent=1))


if __name__ == "__main__":
    main()
