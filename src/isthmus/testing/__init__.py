"""Contract tests shipped with the library: whoever writes a part subclasses one and supplies the part.

Needs pytest, which the library itself does not.
"""

import pytest

# Before the modules are imported: their plain asserts then show both sides, as in a test file.
pytest.register_assert_rewrite(
    "isthmus.testing.adapter", "isthmus.testing.plugin", "isthmus.testing.searcher", "isthmus.testing.ranker"
)
