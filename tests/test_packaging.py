"""Packaging: what is announced, packaged and promised is one set."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
PREFIX = "isthmus_"


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def adapters() -> set[str]:
    return {path.parent.name.removeprefix(PREFIX) for path in (ROOT / "adapters").glob("*/__init__.py")}


def names(requirements: list[str]) -> set[str]:
    return {Requirement(line).name for line in requirements}


def test_folders_packages_and_announcements_are_one_set() -> None:
    document = project()
    packaged = document["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    announced = document["project"]["entry-points"]["isthmus.adapters"]
    assert adapters()
    assert {f"adapters/{PREFIX}{name}" for name in adapters()} | {"src/isthmus"} == set(packaged)
    assert set(announced) == adapters()
    for name, value in announced.items():
        assert value == f"{PREFIX}{name}.plugin:plugin"


def test_adapters_is_no_package() -> None:
    assert not (ROOT / "adapters" / "__init__.py").exists()


def test_each_adapter_has_an_extra_and_all_has_each() -> None:
    extras = project()["project"]["optional-dependencies"]
    assert adapters() <= set(extras)
    asked = {extra for line in extras["all"] for extra in Requirement(line).extras}
    assert asked >= adapters()
    assert "test" not in asked


def test_every_import_root_is_typed() -> None:
    for root in (ROOT / "src" / "isthmus", *(ROOT / "adapters" / f"{PREFIX}{name}" for name in adapters())):
        assert (root / "py.typed").is_file()


def test_base_dependencies_are_the_promised_ones() -> None:
    expected = {"torch", "numpy", "scipy", "faiss-cpu", "safetensors", "pyarrow", "charset-normalizer", "typer", "rich"}
    expected |= {"jaxtyping", "jinja2"}
    assert names(project()["project"]["dependencies"]) == expected


def test_python_versions() -> None:
    document = project()
    assert document["project"]["requires-python"] == ">=3.11,<3.14"
    # What .ci/run tries, and what the README says.
    named = re.findall(r"Python :: (3\.\d+)'", str(document["project"]["classifiers"]))
    assert named == ["3.11", "3.12", "3.13"]
    assert "needs Python 3.11 to 3.13" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert document["tool"]["mypy"]["python_version"] == "3.11"


def test_constraints_pin_what_is_required() -> None:
    pins = [Requirement(line) for line in lines("constraints.txt")]
    assert all(re.fullmatch(r"==[0-9][0-9.]*(b[0-9]+)?", str(pin.specifier)) for pin in pins), (
        "exact public versions only"
    )
    pinned = {canonical(pin.name): str(pin.specifier).removeprefix("==") for pin in pins}
    assert pinned["torch"] == "2.13.0"
    document = project()["project"]
    for line in [
        *document["dependencies"],
        *(line for extra in ("test", "docs") for line in document["optional-dependencies"][extra]),
    ]:
        wanted = Requirement(line)
        assert wanted.specifier.contains(pinned[canonical(wanted.name)]), line


def test_licence_and_attribution() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    notice = " ".join((ROOT / "NOTICE").read_text().split())
    for part in ("goodbooks-10k by Zygmunt Zajac", "CC BY-SA 4.0", "minor-goodbooks-recommender", "Changes:"):
        assert part in notice
    assert project()["project"]["license"] == "Apache-2.0"
    assert project()["project"]["version"] in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.slow
def test_wheel_and_sdist_hold_everything(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    (wheel,) = tmp_path.glob("*.whl")
    (sdist,) = tmp_path.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
        (points,) = (name for name in packed if name.endswith("entry_points.txt"))
        assert "[isthmus.adapters]" in archive.read(points).decode()
    roots = {"isthmus": ROOT / "src", **{f"{PREFIX}{name}": ROOT / "adapters" for name in adapters()}}
    expected = {
        path.relative_to(parent).as_posix()
        for root, parent in roots.items()
        for path in (parent / root).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in packed if ".dist-info/" not in name} == expected
    assert {"isthmus/py.typed", "isthmus_interactions/py.typed"} <= packed
    assert {"LICENSE", "NOTICE"} <= {Path(name).name for name in packed if "/licenses/" in name}
    with tarfile.open(sdist) as archive:
        shipped = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "constraints.txt", "LICENSE", "NOTICE", "CHANGELOG.md"} <= shipped
    assert {f"src/{name}" for name in expected if name.startswith("isthmus/")} <= shipped


def lines(name: str) -> list[str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
