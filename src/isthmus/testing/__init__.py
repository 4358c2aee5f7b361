"""Contract tests shipped with the library: whoever writes a part subclasses one and supplies the part.

Needs pytest, which the library itself does not.
"""

import pytest

# Before the modules are imported: their plain asserts then show both sides, as in a test file.
pytest.register_assert_rewrite(
    *(f"isthmus.testing.{part}" for part in ("adapter", "autoencoder", "plugin", "searcher", "ranker"))
)
