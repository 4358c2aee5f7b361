"""Which items may be answered: for all histories, or for each."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from scipy.sparse import csr_array

from isthmus.errors import InputError, UnknownIdWarning
from isthmus.index.faiss import FaissSearcher
from isthmus.vocabulary import Vocabulary
from isthmus_interactions import Interactions, Recommender
from isthmus_interactions.recommend import top_k
from isthmus_interactions.recommend.filters import ItemFilters, item_filters

ITEMS = [f"i{n}" for n in range(12)]


@pytest.fixture(scope="module")
def data() -> Interactions:
    matrix = (np.random.default_rng(0).random((60, 12)) > 0.6).astype(np.float32)
    return Interactions.from_csr(csr_array(matrix), items=ITEMS)


@pytest.fixture(scope="module", params=["ease", "mult_vae"])
def fitted(request: pytest.FixtureRequest, data: Interactions) -> Recommender:
    few = {} if request.param == "ease" else {"epochs": 1, "hidden": 8, "code": 4}
    return Recommender.fit(data, request.param, validation=0.0, progress=False, **few)


def test_one_list_for_all_or_one_for_each(fitted: Recommender) -> None:
    histories = [["i0", "i1"], [], ["i2"]]
    everything = [set(answer.ids) for answer in fitted.recommend(histories, 12)]
    assert everything == [set(ITEMS) - {"i0", "i1"}, set(ITEMS), set(ITEMS) - {"i2"}]
    shared = fitted.recommend(histories, 12, exclude=["i3", "i0", "?"])
    assert [set(answer.ids) for answer in shared] == [one - {"i3", "i0"} for one in everything]
    own: list = [["i3"], np.array(["i4", "i5"]), {"i6"}]
    each = fitted.recommend(histories, 12, exclude=own)
    assert [set(answer.ids) for answer in each] == [one - set(out) for one, out in zip(everything, own, strict=True)]
    both = fitted.recommend(histories, 12, exclude=["i7"], allow=[["i0", "i7", "i8"], ["i7", "i9"], ITEMS])
    assert [set(answer.ids) for answer in both] == [{"i8"}, {"i9"}, everything[2] - {"i7"}]
    seen = fitted.recommend(histories, 12, exclude=own, exclude_seen=False)
    assert [set(answer.ids) for answer in seen] == [set(ITEMS) - set(out) for out in own]


def test_the_best_of_what_is_left_are_answered_diverse_or_not(fitted: Recommender) -> None:
    (best,) = fitted.recommend([["i0"]], 12)
    (left,) = fitted.recommend([["i0"]], 3, exclude=best.ids[:4])
    assert list(left.ids) == list(best.ids)[4:7]
    (diverse,) = fitted.recommend([["i0"]], 3, exclude=best.ids[:4], diversity=0.5)
    assert len(diverse) == 3
    assert not set(diverse.ids) & set(best.ids[:4])


def test_users_and_files_take_lists_in_their_order(fitted: Recommender, tmp_path: Path) -> None:
    users = fitted.adapter.users.ids.tolist()
    lists = [[ITEMS[user % 12]] for user in users]
    answers = fitted.recommend_users(users, 12, exclude=lists, exclude_seen=False)
    assert all(not set(answer.ids) & set(out) and len(answer) == 11 for answer, out in zip(answers, lists, strict=True))
    fitted.recommend_all(tmp_path / "all.parquet", 12, exclude=lists, exclude_seen=False)
    table = pq.read_table(tmp_path / "all.parquet").to_pydict()
    assert table["item"] == [id_ for answer in answers for id_ in answer.ids]


def test_an_approximate_index_answers_all_that_may_be_answered(
    data: Interactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    recommender = Recommender.fit(data, "mult_vae", validation=0.0, progress=False, epochs=1, hidden=8, code=4)
    monkeypatch.setattr(top_k, "searcher_over", lambda rows, metric, _: FaissSearcher.build(rows, "hnsw", metric))
    out, only = [ITEMS[1:9], ITEMS[:2]], [ITEMS, ["i4", "i1"]]
    answers = recommender.recommend([["i0"], ["i3"]], 3, exclude=out, allow=only)
    assert [sorted(answer.ids) for answer in answers] == [["i10", "i11", "i9"], ["i4"]]


def test_what_does_not_fit_is_said() -> None:
    items = Vocabulary([1, 2, 3])
    with pytest.raises(InputError, match="exclude contains 1 lists; expected one for each of 2 histories"):
        item_filters(items, 2, [[1]], None)
    with pytest.raises(InputError, match=r"allow= is .x. instead of several ids"):
        item_filters(items, 1, None, "x")
    with pytest.warns(UnknownIdWarning, match="none of the ids of allow= is in the catalogue, such as 9"):
        made = item_filters(items, 1, None, ["9"])
    assert isinstance(made.allow, torch.Tensor)
    assert len(made.allow) == 0
    assert item_filters(items, 1, None, None) == ItemFilters()
