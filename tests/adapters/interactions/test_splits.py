"""What every split must keep: nothing leaks, nothing is lost unannounced, the same seed gives the same parts."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, random_array

from isthmus.errors import ColumnError, InputError, SettingError
from isthmus.vocabulary import Vocabulary
from isthmus_interactions import splits
from isthmus_interactions.interactions import Interactions


def data(seed=0, users=40, items=30, density=0.3, **options):
    generator = np.random.default_rng(seed)
    matrix = random_array((users, items), density=density, rng=generator, format="csr")
    rows, columns = matrix.nonzero()
    events = {"user": [f"u{row:02d}" for row in rows], "item": columns, "time": generator.permutation(len(rows))}
    return Interactions.read(pa.table(events), **options)


def pairs(matrix, users, items):
    rows, columns = matrix.nonzero()
    return {(users[row], items[column]) for row, column in zip(rows, columns, strict=True)}


def pairs_of(interactions):
    return pairs(interactions.matrix, interactions.users.ids.tolist(), interactions.items.ids.tolist())


def parts(fold, items):
    names = items.ids.tolist()
    return pairs(fold.history, fold.users, names), pairs(fold.held_out, fold.users, names)


def same(one, other):
    return one.users == other.users and all(
        (getattr(one, part) != getattr(other, part)).nnz == 0 for part in ("history", "held_out")
    )


# --- strong ---


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1000), st.sampled_from([0.5, 0.75, 0.8]))
def test_strong_neither_leaks_nor_loses(seed, fold_in):
    interactions = data(seed)
    split = splits.strong(interactions, held_out=6, fold_in=fold_in, seed=seed)
    names, everything = split.train.items, pairs_of(interactions)
    counts = dict(zip(interactions.users.ids.tolist(), np.diff(interactions.matrix.indptr), strict=True))
    enough = {user for user, count in counts.items() if count >= 5}
    groups = [set(split.train.users.ids.tolist()), set(split.validation.users), set(split.test.users)]
    assert sum(map(len, groups)) == len(set.union(*groups))
    assert set.union(*groups) <= enough
    assert groups[0] == enough - (enough - groups[0])
    assert len(groups[0]) == len(enough) - 12
    assert pairs_of(split.train) == {pair for pair in everything if pair[0] in groups[0]}
    assert all(np.bincount(split.train.matrix.indices, minlength=len(names)) > 0)
    for fold in (split.validation, split.test):
        history, held_out = parts(fold, names)
        assert not history & held_out
        known = set(names.ids.tolist())
        assert history | held_out == {pair for pair in everything if pair[0] in set(fold.users) and pair[1] in known}
        total = np.diff(fold.history.indptr) + np.diff(fold.held_out.indptr)
        np.testing.assert_array_equal(np.diff(fold.held_out.indptr), ((1 - fold_in) * total + 1e-9).astype(int))


def test_strong_is_reproducible_and_touches_no_global_state():
    interactions = data()
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    one, again, other = (splits.strong(interactions, seed=seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(state, np.random.get_state()[1])  # noqa: NPY002
    assert same(one.test, again.test)
    assert same(one.validation, again.validation)
    assert one.train.users == again.train.users
    assert not same(one.test, other.test)


def test_strong_hides_a_fifth_rounded_down():
    interactions = Interactions.from_csr(csr_array(np.tri(60, 30)[20:]))
    fold = splits.strong(interactions, held_out=15, min_items=1).test
    total = np.diff(fold.history.indptr) + np.diff(fold.held_out.indptr)
    np.testing.assert_array_equal(np.diff(fold.held_out.indptr), total // 5)


def test_strong_leaves_out_people_with_few_items_and_items_of_strangers():
    dense = np.zeros((12, 9))
    dense[:10, :6] = 1
    dense[10, :4] = 1  # four items: nobody
    interactions = Interactions.from_csr(csr_array(dense))
    split = splits.strong(interactions, held_out=2)
    assert set(split.train.users.ids.tolist()) <= set(range(10))
    assert split.train.items.ids.tolist() == list(range(6))


def test_strong_refuses(subtests):
    for options, message in [
        ({"held_out": 20}, "20 users"),
        ({"held_out": 0}, "0 users"),
        ({"fold_in": 1.0}, "fold_in=1.0"),
        ({"fold_in": 0.0}, "fold_in=0.0"),
        ({"min_items": 99}, "of 0 with 99 items"),
        ({"fold_in": 0.99}, "no item is held out"),
    ]:
        with subtests.test(options=options, message=message), pytest.raises(SettingError, match=message):
            splits.strong(data(density=0.5), **options)


# --- weak ---


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1000), st.sampled_from([0.0, 0.1, 0.25]))
def test_weak_neither_leaks_nor_loses(seed, validation):
    interactions = data(seed)
    split = splits.weak(interactions, test=0.2, validation=validation, seed=seed)
    assert (split.train.users, split.train.items) == (interactions.users, interactions.items)
    training = pairs_of(split.train)
    together = set(training)
    for fold, share in ((split.test, 0.2), (split.validation, validation)):
        if fold is None:
            assert share == 0
            continue
        history, held_out = parts(fold, interactions.items)
        assert history == {pair for pair in training if pair[0] in set(fold.users)}
        assert not together & held_out
        together |= held_out
        counts = np.diff(interactions.matrix.indptr)
        assert len(held_out) == (share * counts + 1e-9).astype(int).sum()
    assert together == pairs_of(interactions)


def test_weak_is_reproducible():
    interactions = data()
    assert same(splits.weak(interactions, seed=3).test, splits.weak(interactions, seed=3).test)
    assert not same(splits.weak(interactions, seed=3).test, splits.weak(interactions, seed=4).test)


def test_weak_asks_about_short_histories_too():
    rows = [(user, item) for user in range(1, 8) for item in range(user)]
    users, items = zip(*rows, strict=True)
    interactions = Interactions.read(pa.table({"user": users, "item": items}))
    split = splits.weak(interactions, test=0.2, validation=0.1, least=1, seed=0)
    # Of 1 and 2 items nothing can be held out twice and still be trained on.
    assert np.diff(split.train.matrix.indptr).tolist() == [1, 2, 1, 2, 3, 4, 5]
    for fold in (split.test, split.validation):
        assert [len(fold.users), fold.held_out.nnz] == [5, 5]
    # Shares that hold out more anyway stay as they are.
    wide = splits.weak(interactions, test=0.5, least=1, seed=0)
    assert np.diff(wide.train.matrix.indptr).tolist() == [1, 1, 2, 2, 3, 3, 4]


def test_weak_refuses(subtests):
    for options in [{"test": 0.0}, {"test": 1.0}, {"validation": 0.8}, {"validation": -0.1}, {"least": -1}]:
        with subtests.test(options=options), pytest.raises(SettingError, match="expected"):
            splits.weak(data(), **options)


# --- leave last out ---


def test_the_last_two_by_time_are_held_out():
    rows = [("a", 1, 30), ("a", 2, 10), ("a", 3, 20), ("b", 1, 5), ("b", 2, 5), ("b", 3, 5), ("c", 1, 1), ("c", 2, 2)]
    users, items, times = zip(*rows, strict=True)
    interactions = Interactions.read(pa.table({"user": users, "item": items, "time": times}))
    split = splits.leave_last_out(interactions)
    assert parts(split.test, interactions.items) == ({("a", 2), ("a", 3), ("b", 1), ("b", 2)}, {("a", 1), ("b", 3)})
    assert parts(split.validation, interactions.items) == ({("a", 2), ("b", 1)}, {("a", 3), ("b", 2)})
    assert pairs_of(split.train) == {("a", 2), ("b", 1), ("c", 1), ("c", 2)}
    without = splits.leave_last_out(interactions, validation=False)
    assert without.validation is None
    assert parts(without.test, interactions.items)[1] == {("a", 1), ("b", 3), ("c", 2)}


def test_the_last_agrees_with_a_naive_search():
    interactions = data(5)
    split = splits.leave_last_out(interactions, validation=False)
    when = dict(zip(sorted(pairs_of(interactions)), interactions.times.tolist(), strict=True))
    expected = {}
    for (user, item), time in when.items():
        if user not in expected or time > when[user, expected[user]]:
            expected[user] = item
    assert parts(split.test, interactions.items)[1] == set(expected.items())


def test_leaving_the_last_out_needs_times_and_items():
    with pytest.raises(ColumnError, match="no times"):
        splits.leave_last_out(data(time=""))
    single = Interactions.read(pa.table({"user": [1, 2], "item": [1, 2], "time": [1, 2]}))
    with pytest.raises(SettingError, match="no item is held out"):
        splits.leave_last_out(single)


# --- files ---

TRAIN = "user,item,rating\na,1,5\na,2,4\nb,2,5\nb,3,1\nb,1,2\nb,4,3\nc,3,4\n"


def test_files_share_the_vocabulary_and_the_rule_of_the_training_file(tmp_path):
    (tmp_path / "train.csv").write_text(TRAIN)
    (tmp_path / "test.csv").write_text("user,item,rating\nb,1,4\nb,3,5\nb,9,5\na,3,3\nd,2,5\n")
    split = splits.from_files(tmp_path / "train.csv", None, tmp_path / "test.csv")
    assert split.validation is None
    assert split.train.items.ids.tolist() == [1, 2, 3]
    assert split.test.users == ["b", "d"]
    # Item 9 is unknown; a 3 is below the rule that the training file set; d is a stranger with no history.
    assert parts(split.test, split.train.items) == ({("b", 2)}, {("b", 1), ("b", 3), ("d", 2)})


def test_files_with_histories_of_strangers():
    train = Interactions.read(pa.table({"user": ["a", "b"], "item": [1, 2]}))
    history = pa.table({"user": ["x", "y", "x"], "item": [1, 1, 7]})
    asked = pa.table({"user": ["x", "z"], "item": [2, 1]})
    split = splits.from_files(train, asked, asked, validation_history=history, test_history=history)
    assert parts(split.test, train.items) == ({("x", 1)}, {("x", 2), ("z", 1)})
    assert same(split.test, split.validation)


def test_a_rule_of_the_callers_goes_before():
    table = pa.table({"user": [1, 1, 1], "item": [1, 2, 3], "rating": [1, 3, 5]})
    split = splits.from_files(table, None, table, keep="all")
    assert split.test.held_out.nnz == 3
    assert splits.from_files(table, None, table, keep=None).test.held_out.nnz == 1


def test_files_of_another_catalogue_hold_out_nothing():
    train = pa.table({"user": [1], "item": [1]})
    with pytest.raises(SettingError, match="no item is held out"):
        splits.from_files(train, None, pa.table({"user": [1], "item": [2]}))


def test_matrices_that_do_not_match():
    one, two = (Interactions.from_csr(csr_array(np.eye(n))).matrix for n in (2, 3))
    with pytest.raises(InputError, match="shapes"):
        splits.aligned(one, two, Vocabulary([1, 2]))
