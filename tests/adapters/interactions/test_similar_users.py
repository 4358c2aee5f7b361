"""Users near to many histories, a few histories at a time."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch import nn

from isthmus_interactions.recommend import similar_users
from isthmus_interactions.recommend.similar_users import SimilarUsers


@pytest.mark.parametrize("cells", [1, 100, 1 << 22])
def test_blocks_of_any_size_answer_what_all_cosines_say(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similar_users, "CELLS", cells)
    dense = (np.random.default_rng(0).random((30, 9)) > 0.7).astype(np.float32)
    dense[4] = 0
    users = SimilarUsers(nn.Identity(), csr_array(dense))
    found = users.nearest(users.bags(torch.arange(30)), 5, torch.device("cpu"))
    lengths = np.maximum(np.linalg.norm(dense, axis=1), 1)
    cosines = (dense / lengths[:, None]) @ (dense / lengths[:, None]).T
    for row, near in enumerate(found.rows.tolist()):
        filled = [user for user in near if user >= 0]
        expected = sorted(
            np.flatnonzero(cosines[row] > 0), key=lambda user: (-round(float(cosines[row, user]), 5), user)
        )
        assert np.allclose(cosines[row, filled], cosines[row, expected[:5]], atol=1e-5)
        assert len(filled) == min(5, len(expected))
    assert found.rows[4].tolist() == [-1] * 5
