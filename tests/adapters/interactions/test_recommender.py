"""Identities of the recommender's answers, on data whose right answer is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from jaxtyping import TypeCheckError
from planted import GROUPS, ITEMS, default, planted, trained

from isthmus.answers import Answers
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.rankers import ranker_of
from isthmus.errors import InputError, SettingError, UnknownIdError, ValueRangeError
from isthmus.index.faiss import FaissSearcher
from isthmus.rowlists import RowLists
from isthmus.tasks.evaluation import evaluate
from isthmus_interactions import Answer, Interactions, Recommender
from isthmus_interactions.recommend.answers import result_types
from isthmus_interactions.recommend.engine import RecommendationEngine
from isthmus_interactions.recommend.histories import HistoryBatch
from isthmus_interactions.splits import hide

BUILDERS = ("mult_vae", "mult_dae", "ease")


@pytest.fixture(scope="module", params=BUILDERS)
def recommender(request: pytest.FixtureRequest) -> Recommender:
    return default(request.param)


@pytest.fixture(scope="module")
def vae() -> Recommender:
    return default("mult_vae")


@pytest.fixture(scope="module")
def linear() -> Recommender:
    return default("ease")


def group_of(item: int) -> int:
    return item // 10 // ITEMS


def touched(recommender: Recommender, row: int) -> list[int | str]:
    return recommender.adapter.items.take(recommender.interactions[[row]].toarray()[0].nonzero()[0])


# --- recommend -------------------------------------------------------------------------------------------------------


def test_strangers_get_the_items_of_their_group(subtests: pytest.Subtests, recommender: Recommender) -> None:
    for group in range(GROUPS):
        with subtests.test(group=group):
            own = [10 * (group * ITEMS + i) for i in range(ITEMS)]
            (answer,) = recommender.recommend([own[:3]], k=5)
            assert set(answer.ids) == set(own[3:])
            assert answer.scores == sorted(answer.scores, reverse=True)
            assert (answer.unknown, answer.popular) == ([], False)
            assert all(type(id_) is int for id_ in answer.ids)


def test_text_ids_go_in_and_come_out() -> None:
    recommender = trained("ease", planted(names="x"))
    (answer,) = recommender.recommend([("xi0", "xi1", "xi2", "nothing")], k=5)
    assert set(answer.ids) == {f"xi{i}" for i in range(3, 8)}
    assert answer.unknown == ["nothing"]
    assert recommender.recommend_users(["xu0"], k=1)[0].ids[0].startswith("xi")


def test_unknown_ids_are_dropped_and_named(recommender: Recommender) -> None:
    one, other = recommender.recommend([[0.0, -5, 10, "0", 20], [np.int64(0), 10, 20, 10]], k=4)
    assert one.unknown == [-5]
    assert (one.ids, one.scores) == (other.ids, pytest.approx(other.scores, abs=1e-6))


def test_without_a_known_history_the_popular_items_are_answered(recommender: Recommender) -> None:
    empty, strange, known = recommender.recommend([[], [7, "?"], [0, 10]], k=4)
    counts = np.diff(recommender.interactions.tocsc().indptr)
    best = np.argsort(-counts, kind="stable")[:4]
    assert empty.ids == strange.ids == (10 * best).tolist()
    assert empty.scores == pytest.approx(counts[best] / 90)
    assert (empty.popular, strange.popular, known.popular) == (True, True, False)
    assert strange.unknown == [7, "?"]


def test_what_was_seen_is_left_out_unless_asked_for(recommender: Recommender) -> None:
    history = [0, 10, 20]
    (without,), (with_,) = (recommender.recommend([history], 24, exclude_seen=seen) for seen in (True, False))
    assert not set(without.ids) & set(history)
    assert [id_ for id_ in with_.ids if id_ not in history] == without.ids
    assert len(with_) == 24


def test_allow_lists(recommender: Recommender) -> None:
    (answer,) = recommender.recommend([[0, 10]], 5, allow=[0, 230, 999, 30, 30])
    assert answer.ids == [30, 230]  # of the own group first; 0 was seen, 999 is unknown
    (popular,) = recommender.recommend([[]], 5, allow={230, 30})
    assert set(popular.ids) == {30, 230}
    assert popular.popular
    assert recommender.recommend([[0]], 5, allow=[999])[0].ids == []
    assert recommender.recommend([[0]], 5, allow=[0])[0].ids == []


def test_k_beyond_the_catalogue_answers_all_of_it(recommender: Recommender) -> None:
    (answer,) = recommender.recommend([[0, 10]], k=10**12)
    assert len(answer) == 22
    assert len(recommender.similar_items([0], k=10**12)[0]) == 23
    assert 1 <= len(recommender.similar_users([[0]], k=10**12)[0]) <= 90


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_one_is_refused(recommender: Recommender, k: int) -> None:
    asked: list[Callable[[], object]] = [
        lambda: recommender.recommend([[0]], k),
        lambda: recommender.recommend_users([1000], k),
        lambda: recommender.similar_items([0], k),
        lambda: recommender.similar_users([[0]], k),
        lambda: recommender.explain([0], 10, k),
    ]
    for ask in asked:
        with pytest.raises(SettingError, match="k is"):
            ask()


def test_weights_count(linear: Recommender) -> None:
    heavy, plain = linear.score([{0: 3.0, 80: 1.0}, {0: 1.0, 80: 1.0}], [10, 90])
    table = linear.model.weights
    assert heavy == pytest.approx((3 * table[0] + table[8])[[1, 9]].numpy(), abs=1e-6)
    assert plain == pytest.approx((table[0] + table[8])[[1, 9]].numpy(), abs=1e-6)


def test_interactions_are_histories_too(recommender: Recommender) -> None:
    strangers = planted(6, seed=5)
    lists = [strangers.items.take(row.nonzero()[0]) for row in strangers.matrix.toarray()]
    same(recommender.recommend(strangers, 5), recommender.recommend(lists, 5))
    matrix = strangers.matrix[:, [0, 1, 8]]
    other = Interactions.from_csr(matrix, items=["0", "unheard", "80"])
    answers = recommender.recommend(other, 5)
    assert [answer.unknown for answer in answers] == [["unheard"] if row else [] for row in matrix.toarray()[:, 1]]
    known = [[id_ for id_, has in zip([0, 80], row, strict=True) if has] for row in matrix.toarray()[:, [0, 2]]]
    for one, two in zip(answers, recommender.recommend(known, 5), strict=True):
        assert one.ids == two.ids


def test_what_is_no_history_is_refused(subtests: pytest.Subtests, vae: Recommender) -> None:
    for given in ["0", [0, 10], ["0"], {0: 1.0}, 5, None, [[[0]]], [None], [{0: "much"}]]:
        with subtests.test(given=given), pytest.raises((InputError, TypeCheckError)):
            vae.recommend(given)  # type: ignore[arg-type]


def test_weights_are_positive_numbers(subtests: pytest.Subtests, vae: Recommender) -> None:
    for weight in [0, -1, float("nan"), float("inf"), 1e300, 1e-300]:
        with subtests.test(weight=weight), pytest.raises(ValueRangeError, match="item 10"):
            vae.recommend([{0: 1, 10: weight}])


def test_one_text_is_not_a_list_of_letters(vae: Recommender) -> None:
    for ask in (
        lambda: vae.recommend_users("1000"),
        lambda: vae.similar_items("10"),
        lambda: vae.score([[0]], "10"),
        lambda: vae.recommend([[0]], allow="10"),
    ):
        with pytest.raises(InputError, match="instead of several"):
            ask()


def test_no_question_no_answer(recommender: Recommender) -> None:
    assert recommender.recommend([]) == []
    assert recommender.recommend_users([]) == []
    assert recommender.similar_items([]) == []
    assert recommender.similar_users([]) == []
    assert recommender.score([], [0, 10]).shape == (0, 2)
    assert recommender.score([[0]], []).shape == (1, 0)


# --- people of the training data -------------------------------------------------------------------------------------


def same(given: Answers[Answer], expected: Answers[Answer]) -> None:
    assert [answer.ids for answer in given] == [answer.ids for answer in expected]
    assert [answer.unknown for answer in given] == [answer.unknown for answer in expected]
    assert [answer.popular for answer in given] == [answer.popular for answer in expected]
    for one, other in zip(given, expected, strict=True):
        assert one.scores == pytest.approx(other.scores, rel=1e-4, abs=1e-5)


def test_known_people_are_answered_by_their_history(recommender: Recommender) -> None:
    people = [1004, 1000, 1004]
    histories = [touched(recommender, id_ - 1000) for id_ in people]
    for options in ({}, {"exclude_seen": False}, {"allow": [0, 10, 20, 80]}):
        same(recommender.recommend_users(people, 6, **options), recommender.recommend(histories, 6, **options))
    with pytest.raises(UnknownIdError, match="17"):
        recommender.recommend_users([1000, 17])


def test_everybody_goes_to_a_parquet_file(
    recommender: Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isthmus_interactions.recommend.export.USERS_AT_A_TIME", 40)
    path = tmp_path / "recs.parquet"
    path.write_text("an older file")
    assert recommender.recommend_all(path, 4) == 90 * 4
    table = pq.read_table(path)
    assert table.schema.names == ["user", "rank", "item", "score"]
    everybody = list(range(1000, 1090))
    assert table["user"].to_pylist() == [id_ for id_ in everybody for _ in range(4)]
    assert table["rank"].to_pylist() == [1, 2, 3, 4] * 90
    answers = recommender.recommend_users(everybody, 4)
    assert table["item"].to_pylist() == [id_ for answer in answers for id_ in answer.ids]
    assert table["score"].to_pylist() == pytest.approx([s for answer in answers for s in answer.scores], abs=1e-5)
    assert [entry.name for entry in tmp_path.iterdir()] == ["recs.parquet"]


def test_the_file_appears_whole_or_not_at_all(
    vae: Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fails_later(self: RecommendationEngine, histories: HistoryBatch, k: int, **options: object) -> Answers[Answer]:
        asked.append(len(histories.unknown))
        if len(asked) == 2:
            raise MemoryError
        return Answers([Answer([0], [1.0]) for _ in range(asked[-1])], result_types("int64"))

    monkeypatch.setattr("isthmus_interactions.recommend.export.USERS_AT_A_TIME", 40)
    monkeypatch.setattr(RecommendationEngine, "recommend", fails_later)
    with pytest.raises(MemoryError):
        vae.recommend_all(tmp_path / "recs.parquet")
    assert asked == [40, 40]
    assert list(tmp_path.iterdir()) == []


def test_a_file_needs_a_place(vae: Recommender, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no directory"):
        vae.recommend_all(tmp_path / "nowhere" / "recs.parquet")
    with pytest.raises(InputError, match="is a directory"):
        vae.recommend_all(tmp_path)
    assert list(tmp_path.iterdir()) == []


# --- score, similar, explain, evaluate -------------------------------------------------------------------------------


def test_scores_are_those_that_recommend_sorts_by(recommender: Recommender) -> None:
    histories = [[0, 10, 20], [], [80, 999]]
    everything = recommender.adapter.items.take(range(24))
    scores = recommender.score(histories, ["?", *everything, 999])
    assert scores.dtype == np.float32
    assert (scores[:, [0, -1]] == -np.inf).all()
    for row, answer in zip(scores[:, 1:-1], recommender.recommend(histories, 24, exclude_seen=False), strict=True):
        assert [row[id_ // 10] for id_ in answer.ids] == pytest.approx(answer.scores, rel=1e-4, abs=1e-5)
    assert (recommender.score(histories, ["?"]) == -np.inf).all()
    twice = recommender.score(histories[:1], [10, 0, 10])
    assert twice[0, 0] == twice[0, 2] != twice[0, 1]


@pytest.mark.parametrize("model", ["mult_vae", "mult_dae"])
def test_similar_items_are_near_in_the_readout(model: str) -> None:
    recommender = default(model)
    weight = recommender.model.readout.weight.detach()
    unit = torch.nn.functional.normalize(weight, dim=1)
    for item, answer in zip((50, 0, 50), recommender.similar_items([50, 0, 50], 7), strict=True):
        cosines = unit @ unit[item // 10]
        cosines[item // 10] = -torch.inf
        values, order = cosines.sort(descending=True)
        assert answer.ids == (10 * order[:7]).tolist()
        assert answer.scores == pytest.approx(values[:7].tolist(), abs=1e-5)
        assert {group_of(id_) for id_ in answer.ids} == {group_of(item)}
    with pytest.raises(UnknownIdError, match="5"):
        recommender.similar_items([5])


def test_similar_items_of_a_linear_model_are_its_weights(linear: Recommender) -> None:
    (answer,) = linear.similar_items([50], 23)
    row = linear.model.weights[5].tolist()
    assert answer.scores == pytest.approx(sorted(row[:5] + row[6:], reverse=True))
    assert [row[id_ // 10] for id_ in answer.ids] == answer.scores
    assert 50 not in answer.ids


@pytest.mark.parametrize("model", ["mult_vae", "mult_dae"])
def test_similar_users_are_near_in_the_code(model: str) -> None:
    recommender = default(model)
    own = touched(recommender, 4)
    answer, nobody = recommender.similar_users([[*own, 999], [999]], 90)
    assert answer.unknown == nobody.unknown == [999]
    assert nobody.ids == []
    assert isinstance(recommender.model, Autoencoder)
    codes = recommender.model.encode(recommender._engine._users.bags(torch.arange(90))).point.detach()
    cosines = torch.nn.functional.cosine_similarity(codes, codes[4:5])
    assert answer.scores == pytest.approx(cosines.sort(descending=True).values.tolist(), abs=1e-5)
    assert [cosines[id_ - 1000] for id_ in answer.ids] == pytest.approx(answer.scores, abs=1e-5)
    assert answer.scores[0] == pytest.approx(1, abs=1e-5)
    assert {id_ % GROUPS for id_ in answer.ids[:10]} == {1004 % GROUPS}


def test_similar_users_of_a_linear_model_share_items(linear: Recommender) -> None:
    answer, weighted, nobody = linear.similar_users([[0, 10, 999], {0: 2.0, 10: 1.0}, [999]], 90)
    dense = linear.interactions.toarray()
    for given, asked in ((answer, [1.0, 1.0]), (weighted, [2.0, 1.0])):
        cosines = dense[:, :2] @ asked / np.linalg.norm(dense, axis=1) / np.linalg.norm(asked)
        order = np.argsort(-cosines.round(6), kind="stable")
        order = order[cosines[order] > 0]
        assert given.scores == pytest.approx(cosines[order], abs=1e-6)
        assert set(given.ids) == set((1000 + order).tolist())
    assert (nobody.ids, nobody.unknown) == ([], [999])


def test_explanations_of_a_linear_model_are_exact(linear: Recommender) -> None:
    history = {0: 1.0, 10: 2.0, 80: 1.0}
    answer = linear.explain({**history, 999: 1.0}, 20)
    weights = linear.model.weights[:, 2]
    parts = {0: float(weights[0]), 10: 2 * float(weights[1]), 80: float(weights[8])}
    assert dict(zip(answer.ids, answer.scores, strict=True)) == parts
    assert answer.scores == sorted(answer.scores, reverse=True)
    assert sum(answer.scores) == pytest.approx(linear.score([history], [20])[0, 0], abs=1e-6)
    assert answer.unknown == [999]


@pytest.mark.parametrize("model", ["mult_vae", "mult_dae"])
@pytest.mark.parametrize("entries", [1, 1 << 20])
def test_explanations_leave_one_out(model: str, entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.tasks.explain.ENTRIES", entries)
    recommender = default(model)
    history = {0: 1.0, 10: 2.0, 80: 1.0}
    answer = recommender.explain(history, 20, k=2)
    whole = recommender.score([history], [20])[0, 0]
    parts = {
        id_: whole - recommender.score([{other: w for other, w in history.items() if other != id_}], [20])[0, 0]
        for id_ in history
    }
    best = sorted(parts, key=lambda id_: -parts[id_])[:2]
    assert answer.ids == best
    assert answer.scores == pytest.approx([parts[id_] for id_ in best], abs=1e-5)
    assert 80 not in answer.ids


def test_explanations_of_little(recommender: Recommender) -> None:
    assert recommender.explain([999], 0) == Answer([], [], [999])
    assert recommender.explain([10], 0).ids == [10]
    with pytest.raises(UnknownIdError):
        recommender.explain([0], 5)


def test_evaluation_is_that_of_the_task(recommender: Recommender) -> None:
    fold = hide(planted(60, seed=9), 0.2, np.random.default_rng(1))
    names = ("recall@5", "ndcg@10", "coverage@5")
    measured = recommender.evaluate(fold, names)
    expected = evaluate(ranker_of(recommender.model), fold.history, fold.held_out, names)
    assert measured.means == pytest.approx(expected.means)
    assert measured.means["recall@5"] > 0.9
    with pytest.raises(SettingError, match="metric"):
        recommender.evaluate(fold, ["recall"])


@pytest.mark.parametrize("model", ["mult_vae", "mult_dae"])
def test_an_index_over_the_readout_ranks_as_the_decoder_does(model: str) -> None:
    """DESIGN: logit_i = [d, 1] · [w_i, b_i], so that FAISS is the decoder's ranking."""
    recommender = default(model)
    readout, ranker = recommender.model.readout, ranker_of(recommender.model)
    bags = recommender._engine._users.bags(torch.arange(90))
    queries = readout.queries(ranker.prepare(bags)).detach()
    searcher = FaissSearcher.build(readout.vectors(), "flat", "ip")
    found = searcher.search(queries, 10, exclude=RowLists(bags.indices, bags.offsets))
    for answer, rows, scores in zip(
        recommender.recommend_users(range(1000, 1090), 10), found.rows, found.scores, strict=True
    ):
        assert answer.ids == (10 * rows).tolist()
        assert answer.scores == pytest.approx(scores.tolist(), abs=1e-4)
