"""Rankers are one face: a linear model in closed form, and a deep one beside it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from extending import CODE, ITEMS, bag_batch, bag_model, generator, matrix
from scipy.sparse import csr_array
from torch import nn

from isthmus.batch import Bag, Bags, TokenRows, require_tokens
from isthmus.core.bottlenecks.deterministic import Deterministic
from isthmus.core.linear.dense import LinearAutoencoder
from isthmus.core.rankers import AutoencoderRanker, Blend, ranker_of
from isthmus.errors import SettingError
from isthmus.index.exact.searcher import rank
from isthmus.models import ease, mult_vae
from isthmus.protocols import Ranker
from isthmus.sources import BagSource
from isthmus.tasks.evaluation import evaluate
from isthmus.training.run import Run


def test_ease_is_a_ranker_like_any_other():
    data = matrix(40)
    recipe = ease(Bag(ITEMS), generator=generator(), regularisation=5.0)
    recipe.fit(BagSource.from_csr(data), Run(device="cpu"))
    assert isinstance(ranker_of(recipe.model), Ranker)
    bags = BagSource.from_csr(data).batch(torch.arange(40)).inputs
    assert isinstance(bags, Bags)
    scores = recipe.model.scores(recipe.model.prepare(bags))
    np.testing.assert_allclose(scores.numpy(), data @ recipe.model.weights.numpy(), rtol=1e-4, atol=1e-5)


def test_deep_plus_ease_is_a_blend():
    bags = bag_batch().inputs
    deep = AutoencoderRanker(mult_vae(Bag(ITEMS), generator=generator(), hidden=8, code=4).model)
    linear = LinearAutoencoder(ITEMS)
    linear.weights.copy_(torch.randn(ITEMS, ITEMS, generator=generator(2)))
    both = Blend([deep.model, linear])
    both.weigh([1.0, 0.3], [0.0, 0.0])
    state, columns = both.prepare(bags), torch.tensor([4, 1, 7])
    expected = deep.scores(deep.prepare(bags)) + 0.3 * linear.scores(bags)
    torch.testing.assert_close(both.scores(state), expected)
    torch.testing.assert_close(both.scores(state, columns), expected[:, columns])


# --- a ranker that reads the order ---


class LastItem(nn.Module):
    """Reads sequences of items; only the last one counts."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(ITEMS, CODE, generator=generator(1)))

    def enter(self, inputs):
        return self.table[require_tokens(inputs, "a model of sequences").ids]

    def trunk(self, entered, inputs):
        return entered[torch.arange(len(entered)), inputs.mask.sum(1) - 1]


def ordered() -> TokenRows:
    ids = torch.tensor([[3, 1, 2], [2, 1, 3], [4, 2, 0], [5, 0, 0]])
    return TokenRows(ids, torch.arange(3) < torch.tensor([3, 3, 2, 1])[:, None])


def test_a_ranker_of_sequences_is_ranked_and_measured_like_any_other():
    model = bag_model(encoder=LastItem(), bottleneck=Deterministic(), prior=None)
    ranker = ranker_of(model.eval())
    scores = ranker.scores(ranker.prepare(ordered()))
    found = rank(ranker, ordered(), 5, block_bytes=64)
    assert torch.equal(found.rows, scores.sort(dim=1, descending=True, stable=True).indices[:, :5])
    # Rows 0 and 2 end with the same item; 0 and 1 hold the same items in another order.
    assert torch.equal(scores[0], scores[2])
    assert not torch.equal(scores[0], scores[1])
    history, held_out = (np.zeros((4, ITEMS), np.float32) for _ in range(2))
    held_out[np.arange(4), found.rows[:, 0].numpy()] = 1
    measured = evaluate(ranker, csr_array(history), csr_array(held_out), ("recall@1",), inputs=ordered(), batch_size=3)
    assert measured.means["recall@1"] == 1


def test_who_reads_only_bags_says_so():
    linear = LinearAutoencoder(ITEMS)
    for ranker in (linear, Blend([linear]), ranker_of(bag_model())):
        with pytest.raises(SettingError, match="TokenRows"):
            ranker.prepare(ordered())
    with pytest.raises(SettingError, match="Bags"):
        ranker_of(bag_model(encoder=LastItem(), bottleneck=Deterministic(), prior=None)).prepare(bag_batch().inputs)
