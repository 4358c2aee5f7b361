"""What the tests of reading share."""

import pytest


@pytest.fixture
def write(tmp_path):
    def written(text, name="events.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return written
