"""Every check of scikit-learn's own, for every estimator, none skipped and none expected to fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

SCRIPT = """
import json, warnings
import isthmus_vectors as vectors
from sklearn.utils.estimator_checks import check_estimator

warnings.simplefilter("ignore")
small = {"hidden": 8, "epochs": 2, "batch_size": 256, "mixture": False}
estimators = [
    vectors.Autoencoder(2, **small),
    vectors.VariationalAutoencoder(2, **small),
    vectors.DenoisingAutoencoder(2, **small),
    vectors.SparseAutoencoder(8, k=2, **small),
    vectors.ContractiveAutoencoder(2, **small),
]
found = {}
for estimator in estimators:
    results = check_estimator(estimator, on_fail=None, on_skip=None)
    told = [(one["check_name"], one["status"], repr(one["exception"])) for one in results]
    found[type(estimator).__name__] = told
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def results() -> dict[str, list[tuple[str, str, str]]]:
    """SciPy reads the switch when it is imported, hence a process of its own."""
    environment = os.environ | {"SCIPY_ARRAY_API": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment, timeout=600, check=False
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    return json.loads(ran.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "Autoencoder",
        "VariationalAutoencoder",
        "DenoisingAutoencoder",
        "SparseAutoencoder",
        "ContractiveAutoencoder",
    ],
)
def test_all_checks_pass(results: dict[str, list[tuple[str, str, str]]], name: str) -> None:
    assert [one for one in results[name] if one[1] != "passed"] == []
    checked = [one[0] for one in results[name]]
    assert len(checked) >= 50
    for check in ("check_array_api_input", "check_methods_sample_order_invariance", "check_estimator_sparse_array"):
        assert check in checked
