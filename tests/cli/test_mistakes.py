"""Every command with every usual mistake: exit status 2, one line that leads somewhere, and nothing left behind."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import isthmus
from isthmus.cli import main

pytest.importorskip("PIL")

QUICK = {"epochs": 1, "progress": False, "device": "cpu", "validation": 0.0}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles of every sort, and files that are right, wrong, empty or no files."""
    from PIL import Image

    home, random = tmp_path_factory.mktemp("home"), np.random.default_rng(0)
    (home / "r.csv").write_text("user,item\n" + "".join(f"{u},{i}\n" for u in range(60) for i in range(u % 7 + 1)))
    (home / "t.txt").write_text("a dog runs\na cat eats\n" * 10)
    (home / "v.csv").write_text("a,b,c\n" + "".join(f"{x},{y},{z}\n" for x, y, z in random.normal(size=(40, 3))))
    (home / "p").mkdir()
    for name in "abcd":
        Image.fromarray(random.integers(0, 255, (8, 8), dtype=np.uint8)).save(home / "p" / f"{name}.png")
    (home / "empty.csv").touch()
    (home / "header.csv").write_text("x,y\n")
    (home / "wrong.csv").write_text("x,y\n1,2\n")
    (home / "empty.npy").touch()
    (home / "text.npy").write_text("no numbers")
    (home / "folder").mkdir()
    (home / "folder" / "mine.txt").write_text("mine")
    isthmus.Recommender.fit(home / "r.csv", "popularity", progress=False, validation=0.0).save(home / "rec")
    isthmus.TextAutoencoder.fit(home / "t.txt", "vanilla", hidden=8, code=2, **QUICK).save(home / "text")
    isthmus.ImageAutoencoder.fit(home / "p", "vanilla", hidden=8, code=2, **QUICK).save(home / "img")
    isthmus.VectorAutoencoder.fit(home / "v.csv", "vanilla", hidden=8, code=2, **QUICK).save(home / "vec")
    isthmus.Compressor.fit(random.normal(size=(300, 4)), bytes=2, progress=False).save(home / "comp")
    isthmus.Index.build(random.normal(size=(30, 3))).save(home / "idx")
    (home / "damaged").mkdir()
    (home / "damaged" / "manifest.json").write_text("{")
    return home


GIVEN = {"interactions": "r.csv --model mult-vae", "text": "t.txt", "images": "p", "vectors": "v.csv"}
FITS = [f"fit {name} {file} --out new" for name, file in GIVEN.items()]
ASKED = {
    "rec": ["evaluate rec FILE", "update rec FILE --out new"],
    "text": ["evaluate text FILE", "anomalies text FILE", "encode text FILE --out new.npy"],
    "img": ["evaluate img FILE", "anomalies img FILE", "denoise img FILE --out new.png"],
    "vec": ["evaluate vec FILE", "anomalies vec FILE", "search vec FILE", "encode vec FILE --out new.npy"],
    "idx": ["index search idx FILE", "index add idx FILE"],
}
NO_DATA = ("gone.csv", "empty.csv", "header.csv", "folder", "rec")
MISTAKES = [
    *((line.replace("FILE", file), "") for lines in ASKED.values() for line in lines for file in NO_DATA),
    *((f"fit {name} {file} --out new", "") for name in GIVEN for file in NO_DATA),
    *((f"{line} --out folder", "is not an isthmus bundle") for line in FITS),
    *((f"{line} --out t.txt", "is not an isthmus bundle") for line in FITS),
    *((f"{line} --model mult-vaee", "no model 'mult-vaee'") for line in FITS),
    *((f"{line} --setting sed=3", "did you mean the option --seed?") for line in FITS[1:]),
    *((f"{line} --setting epoch=3", "did you mean 'epochs'?") for line in FITS),
    *((f"{line} --epoch 3", "did you mean '--epochs'?") for line in FITS),
    *((f"{line} --epochs 0", "--epochs '0'; expected at least 1") for line in FITS),
    *((f"{line} --checkpoints t.txt", "is a file") for line in FITS),
    *((f"{verb} {place}", part)
      for verb in ("recommend", "encode", "plot", "info", "index info")
      for place, part in (("gone", "does not exist"), ("folder", "no manifest.json"), ("damaged", "damaged"))),
    ("recommend text --history 1", "expected a bundle of interactions"),
    ("sample rec", "expected a bundle of"),
    ("encode comp v.csv --json", "matryoshka"),
    ("recommend idx --history 1", "is an index"),
    ("tune text t.txt --model vanilla", "expected interactions"),
    ("recommend rec --history 1 -k 0", "-k '0'; expected at least 1"),
    ("recommend rec --history @empty.csv", "holds no ids"),
    ("recommend rec --history @gone", "cannot be read"),
    ("recommend rec --users 999", "999"),
    ("recommend rec --users 1 --out new.csv", "'.csv'"),
    ("recommend rec --users 1 --out folder", "folder"),
    ("similar rec --item 999", "unknown item 999"),
    ("evaluate rec r.csv --metric recal@20", "did you mean 'recall@20'?"),
    ("decode text empty.npy", "empty.npy"),
    ("decode text text.npy", "text.npy"),
    ("sample text --out t.txt", "exists"),
    ("reconstruct text t.txt --strategy nuclear", "strategy 'nuclear'"),
    ("sample vec --out gone/new.npy", "gone"),
    ("sample vec --prior fited --out new.npy", "did you mean 'fitted'?"),
    ("sample img --out new.jpg", "'.jpg'"),
    ("search vec v.csv --metric cosin", "did you mean 'cosine'?"),
    ("index build v.csv --out new --kind exat", "did you mean 'exact'?"),
    ("index search idx", "--like ID"),
    ("index search idx --like 999", "999 is not in the index"),
    ("index serch idx", "did you mean 'search'?"),
    ("plot vec --out new.bmp", "new.bmp"),
    ("models mult-vea", "did you mean 'mult-vae'?"),
    ("demo text --sed 1", "did you mean '--seed'?"),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("line", "part"), MISTAKES, ids=[line for line, _ in MISTAKES])
def test_a_mistake_is_one_line(
    line: str, part: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(home)
    before = sorted(home.rglob("*"))
    code = main(shlex.split(line))
    answer, said = capsys.readouterr()
    assert (code, answer) == (2, ""), said
    *remarks, last = said.splitlines()
    assert last.startswith("isthmus: ")
    assert not any(remark.startswith("isthmus: ") for remark in remarks)
    assert part in last
    for noise in ("internal error", "Errno", "pickle", "unit=", "on_error="):
        assert noise not in last
    assert sorted(home.rglob("*")) == before


@pytest.mark.slow
@pytest.mark.parametrize("line", ["search vec v.csv -k 30 --json", "models --json"])
def test_a_reader_that_goes_away_is_no_error(line: str, home: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    code = f"import sys; from isthmus.cli import main; sys.exit(main({shlex.split(line)!r}))"
    child = subprocess.run(
        [sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, text=True, check=False, cwd=home
    )
    os.close(write)
    assert (child.returncode, child.stderr) == (141, "")
