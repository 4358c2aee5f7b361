"""What ``isthmus.core`` and ``isthmus.models`` offer from one place."""

import importlib
import subprocess
import sys

import pytest

import isthmus.core
import isthmus.models
from isthmus.core.bottlenecks.gaussian import Gaussian
from isthmus.core.likelihoods.continuous import Gaussian as GaussianLikelihood


@pytest.mark.parametrize("package", [isthmus.core, isthmus.models])
def test_every_name_is_there(package):
    assert len(set(package.__all__)) == len(package.__all__)
    for name in package.__all__:
        assert getattr(package, name).__name__ in (name, name.removesuffix("Likelihood"))


def test_two_of_one_name_are_told_apart():
    assert isthmus.core.Gaussian is Gaussian
    assert isthmus.core.GaussianLikelihood is GaussianLikelihood
    with pytest.raises(AttributeError, match="Gausian"):
        isthmus.core.Gausian  # noqa: B018


def test_every_class_of_the_core_that_is_a_part_is_offered():
    """Of the folders that hold parts: whatever class is public there."""
    offered = {getattr(isthmus.core, name) for name in isthmus.core.__all__}
    for folder in ("encoders", "decoders", "bottlenecks"):
        for kind in vars(importlib.import_module(f"isthmus.core.{folder}")).values():
            if isinstance(kind, type):
                assert kind in offered, kind


def test_importing_the_core_imports_no_part():
    code = "import sys, isthmus.core; print(any(name.startswith('isthmus.core.') for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
