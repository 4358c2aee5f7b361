"""Which rows are held out."""

import pytest
import torch

from isthmus.errors import SettingError
from isthmus.training.holdout import FEWEST, hold_out


def test_every_row_is_on_one_side_and_the_seed_decides():
    train, held = hold_out(200, 0.1, 3, most=1000)
    assert (len(train), len(held)) == (180, 20)
    assert torch.equal(torch.cat([train, held]).sort().values, torch.arange(200))
    assert all(torch.equal(a, b) for a, b in zip((train, held), hold_out(200, 0.1, 3, most=1000), strict=True))
    assert not torch.equal(held, hold_out(200, 0.1, 4, most=1000)[1])


def test_no_more_are_held_out_than_the_most_and_none_of_few():
    assert len(hold_out(200, 0.4, 0, most=7)[1]) == 7
    assert len(hold_out(FEWEST - 1, 0.4, 0, most=7)[1]) == 0
    assert len(hold_out(200, 0.0, 0, most=7)[1]) == 0


@pytest.mark.parametrize("share", [-0.1, 0.5, 1.0])
def test_a_share_is_less_than_a_half(share):
    with pytest.raises(SettingError, match="texts"):
        hold_out(200, share, 0, most=7, of="texts")
