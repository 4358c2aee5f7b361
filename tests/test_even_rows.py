"""Evenly spaced rows."""

import pytest

from isthmus.sources import even_rows


@pytest.mark.parametrize(
    ("rows", "most", "wanted"), [(10, 5, [0, 2, 4, 6, 8]), (7, 3, [0, 2, 4]), (3, 9, [0, 1, 2]), (0, 4, []), (4, 0, [])]
)
def test_at_most_so_many_from_the_first_on(rows, most, wanted):
    assert even_rows(rows, most).tolist() == wanted
