"""How a recommender is tested: which users are asked, with what history, for what."""

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_array

from isthmus.errors import InputError, SettingError
from isthmus_interactions import FoldIn, Interactions, Recommender, strong
from isthmus_interactions.recommend.protocols import AskedFold, Protocol, asked_fold

TRAIN = {"who": ["a", "a", "b", "b", "c"], "what": ["x", "y", "y", "z", "x"], "when": [1, 2, 1, 2, 1]}


@pytest.fixture(scope="module")
def fitted() -> Recommender:
    return Recommender.fit(pa.table(TRAIN), "popularity", user="who", item="what", time="when")


def rows_of(asked: AskedFold, name: str) -> dict[str, list[str]]:
    matrix, users = getattr(asked.fold, name).toarray(), asked.fold.users
    return {
        user: [item for item, has in zip("xyz", row, strict=True) if has]
        for user, row in zip(users, matrix, strict=True)
    }


def asked(fitted: Recommender, table: dict, split: str | None, hide: float = 0.2) -> AskedFold:
    return asked_fold(fitted.fitted, pa.table(table), Protocol(split, hide))


def test_known_users_are_asked_for_what_is_new(fitted: Recommender) -> None:
    test = {"who": ["a", "a", "b", "d", "c", "a"], "what": ["z", "x", "y", "x", "q", "q"]}
    made = asked(fitted, test, None)
    assert made.split == "known"
    assert rows_of(made, "history") == {"a": ["x", "y"]}
    assert rows_of(made, "held_out") == {"a": ["z"]}
    assert made.remarks == (
        "split 'known' was chosen: 3 of 4 users are in the training data",
        "2 interactions are with 1 unknown item and left out",
        "1 user is not in the training data and left out",
        "2 interactions were trained on and left out",
        "2 known users have no new items and cannot be evaluated",
    )


def test_of_new_users_a_share_is_hidden(fitted: Recommender) -> None:
    test = {"who": ["d", "d", "e", "a", "a"], "what": ["x", "y", "x", "x", "y"]}
    made = asked(fitted, test, None, 0.5)
    assert made.split == "users"
    history, held_out = rows_of(made, "history"), rows_of(made, "held_out")
    assert {user: sorted(history[user] + held_out[user]) for user in history} == {"a": ["x", "y"], "d": ["x", "y"]}
    assert "50% of the items are hidden" in made.protocol
    assert made.remarks[1:] == (
        "1 user was trained on, so their scores are too high",
        "1 user has too few known items to hide one and cannot be evaluated",
    )


def test_the_latest_item_is_asked_for_after_all_that_came_before(fitted: Recommender) -> None:
    test = {"who": ["a", "d", "d", "e", "b"], "what": ["z", "z", "x", "x", "y"], "when": [9, 9, 8, 1, 9]}
    made = asked(fitted, test, "last")
    assert rows_of(made, "history") == {"a": ["x", "y"], "d": ["x"]}
    assert rows_of(made, "held_out") == {"a": ["z"], "d": ["z"]}
    assert made.remarks == (
        "1 most recent item was trained on and left out",
        "1 user has no item before the most recent known one and cannot be evaluated",
    )
    assert made.fold.ordered is not None
    assert [made.fold.ordered.items_of(row).tolist() for row in range(2)] == [[0, 1], [0]]


def test_what_cannot_be_asked_is_refused(fitted: Recommender) -> None:
    for table, split, message in [
        ({"who": ["d"], "what": ["x"]}, "known", "no user of the test data is in the training data"),
        ({"who": ["a"], "what": ["x"]}, "known", "the test data contain no new interactions"),
        ({"who": ["a"], "what": ["q"]}, None, "none of the 1 items of the test data, such as 'q'"),
        ({"who": ["d"], "what": ["x"]}, "users", "no item is held out"),
        ({"who": ["a"], "what": ["z"]}, "last", "test data without times"),
    ]:
        with pytest.raises(InputError, match=message):
            asked(fitted, table, split)
    with pytest.raises(SettingError, match=r"split 'strong'; expected 'users' \(strong"):
        asked(fitted, TRAIN, "strong")
    with pytest.raises(SettingError, match="hide=1"):
        asked(fitted, TRAIN, "users", 1.0)


def test_files_frames_matrices_arrays_interactions_and_folds_are_measured_alike(tmp_path) -> None:
    matrix = csr_array((np.random.default_rng(0).random((40, 12)) > 0.6).astype(np.float32))
    recommender = Recommender.fit(matrix[:30], "ease")
    rows, columns = matrix[30:].nonzero()
    (tmp_path / "new.csv").write_text(
        "user,item\n" + "".join(f"{rows[n] + 30},{columns[n]}\n" for n in range(len(rows)))
    )
    data = Interactions.read((rows + 30, columns))
    users = np.arange(30, 40)
    given = [tmp_path / "new.csv", (rows + 30, columns), pa.table({"user": rows + 30, "item": columns}), data]
    found = [recommender.evaluate(one, ["recall@3"]) for one in given]
    found.append(recommender.evaluate(matrix[30:], ["recall@3"], users=users))
    assert len({repr(one) for one in found}) == 1
    assert found[0].standard_errors["recall@3"] > 0
    assert "±" in str(found[0])
    assert found[0].protocol.startswith("strong generalisation")
    fold = strong(Interactions.read(matrix), held_out=5, min_items=2).test
    assert isinstance(fold, FoldIn)
    assert recommender.evaluate(fold, ["recall@3"]).protocol == "given fold"
    with pytest.raises(SettingError, match="for a fold"):
        recommender.evaluate(fold, split="users")
