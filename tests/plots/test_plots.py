"""What is drawn is what was measured; pictures are looked at through matplotlib's own objects."""

import sys

import numpy as np
import pytest

from isthmus.errors import InputError, MissingLibraryError
from isthmus.index import Index
from isthmus.plots import Missing, drawn, latent_map, overview, panels_of, save, sheet, training_curves, training_panels
from isthmus.plots.indexes import index_panels
from isthmus.plots.maps import plane
from isthmus.training.history import History

pytest.importorskip("matplotlib")


def history(epochs=4, **more):
    made = History(metric="score")
    for epoch in range(1, epochs + 1):
        made.take(
            {
                "epoch": epoch,
                "phase": "joint",
                "loss": 10.0 / epoch,
                "nll": 9.0 / epoch,
                "rate": 0.0,
                "learning_rate": 0.1,
                "score": float(-abs(epoch - 3)),
                "seconds": 1.0,
                **more,
            }
        )
    return made


def titles(figure):
    return [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]


def lines(axes):
    return {line.get_label(): line.get_xydata().tolist() for line in axes.lines}


def test_curves_are_the_numbers_of_the_history_and_a_score_has_an_axis_on_the_right():
    figure = training_curves(history())
    loss, score = figure.axes
    assert titles(figure) == ["Training"]
    assert lines(loss)["training"] == [[epoch, 10.0 / epoch] for epoch in range(1, 5)]
    assert lines(loss)["training, reconstruction alone"] == [[epoch, 9.0 / epoch] for epoch in range(1, 5)]
    assert lines(score)["held-out score"] == [[epoch, -abs(epoch - 3)] for epoch in range(1, 5)]
    assert list(loss.lines[-1].get_xdata()) == [3, 3]
    assert loss.get_ylabel() == "loss, nats per record; lower is better"
    assert score.get_ylabel() == "held-out score; higher is better"


def varied(**more):
    """A history of four epochs whose further numbers grow by one each epoch."""
    made = history()
    for record in made.records:
        record |= {name: first + record["epoch"] for name, first in more.items()}
    return made


def test_further_numbers_have_a_panel_each_and_what_never_changes_has_none():
    assert titles(training_curves(varied(rate=2.0, anchor=0.5))) == [
        "Training",
        "Rate (information in the code)",
        "Anchor",
    ]
    made = history(rate=2.0, of_texts=150)
    assert titles(training_curves(made)) == ["Training"]


def test_training_and_held_out_figures_share_a_panel():
    made = varied(rate=1.0, held_out_rate=2.0, objective=-9.0, held_out_nll=3.0)
    made.metric = "objective"
    for record in made.records:
        del record["score"]
    loss, rate = training_curves(made).axes
    assert lines(loss)["held-out"] == [[epoch, 9.0 - epoch] for epoch in range(1, 5)]
    assert lines(loss)["held-out, reconstruction alone"] == [[epoch, 3.0 + epoch] for epoch in range(1, 5)]
    assert (lines(rate)["training"][0], lines(rate)["held-out"][0]) == ([1, 2.0], [1, 3.0])


def test_nothing_is_drawn_twice():
    made = history()
    for record in made.records:
        record["nll"] = record["loss"]
        record |= {"objective": -2 * record["loss"], "held_out_nll": 2 * record["loss"]}
    made.metric = "objective"
    labels = [line.get_label() for line in training_curves(made).axes[0].lines]
    assert labels == ["training", "held-out", "kept: epoch 3"]


def test_phases_that_take_turns_have_a_line_each():
    made = history(epochs=6)
    for record in made.records:
        record["phase"] = "encoder" if record["epoch"] % 2 else "decoder"
    found = lines(training_curves(made).axes[0])
    assert [x for x, _ in found["training (encoder)"]] == [1, 3, 5]
    assert [x for x, _ in found["training (decoder)"]] == [2, 4, 6]


def test_numbers_that_are_not_of_every_epoch_stand_at_theirs():
    made = history()
    del made.records[0]["score"], made.records[2]["score"]
    made.records[3]["score"] = -2.0
    assert [x for x, _ in lines(training_curves(made).axes[1])["held-out score"]] == [2, 4]


def test_a_training_without_a_course_says_why():
    for course, why in (
        (History(records=[{"epoch": 1, "phase": "solving", "seconds": 0.1}]), "in one step"),
        (history(epochs=1), "one epoch makes no curve"),
    ):
        (panel,) = training_panels(course)
        assert isinstance(panel, Missing)
        with pytest.raises(InputError, match=why):
            drawn([panel])


def test_a_history_without_epochs_is_refused():
    with pytest.raises(InputError, match="without epochs"):
        training_curves(History())


def test_a_plane_of_codes_is_found_whatever_it_is_turned_to():
    g = np.random.default_rng(0)
    flat = g.normal(size=(300, 2)) * [3.0, 1.0]
    turned, _ = np.linalg.qr(g.normal(size=(5, 5)))
    points, names = plane((flat @ turned[:2]).astype(np.float32))
    centred = flat - flat.mean(0)
    np.testing.assert_allclose(points @ points.T, centred @ centred.T, atol=1e-3)
    share = centred[:, 0].var() / centred.var(0).sum()
    assert names == (f"principal component 1 ({share:.0%} of the variance)", f"principal component 2 ({1 - share:.0%})")


def test_two_dimensions_are_drawn_as_they_are_and_one_beside_nothing():
    codes = np.array([[1.0, 2.0], [3.0, 5.0]], dtype=np.float32)
    points, names = plane(codes)
    assert points.tolist() == codes.tolist()
    assert names == ("code 1", "code 2")
    points, _ = plane(codes[:, :1])
    assert points.tolist() == [[-1.0, 0.0], [1.0, 0.0]]
    plane(np.ones((3, 4), dtype=np.float32))


def test_each_label_has_its_points_and_rare_ones_share_a_colour():
    codes = np.arange(60, dtype=np.float32).reshape(30, 2)
    labels = [row % 12 if row < 24 else 0 for row in range(30)]
    axes = latent_map(codes, labels).axes[0]
    groups = {found.get_label(): found.get_offsets() for found in axes.collections}
    assert len(groups) == 11
    assert sum(map(len, groups.values())) == 30
    assert groups["0"].tolist() == codes[[0, 12, 24, 25, 26, 27, 28, 29]].tolist()
    assert len(groups["others"]) == 4
    assert {text.get_text() for text in axes.get_legend().get_texts()} == set(groups)


def test_without_labels_all_points_are_one_group(monkeypatch):
    monkeypatch.setattr("isthmus.plots.maps.MOST", 10)
    codes = np.arange(200, dtype=np.float32).reshape(100, 2)
    axes = latent_map(codes).axes[0]
    assert axes.collections[0].get_offsets().tolist() == codes[::10].tolist()
    assert axes.get_legend() is None


@pytest.mark.parametrize("codes", [np.ones((1, 2)), np.ones((3, 0)), np.array([[1.0, np.nan], [0.0, 0.0]])])
def test_codes_that_make_no_map_are_refused(codes):
    with pytest.raises(InputError, match="codes of shape"):
        latent_map(codes.astype(np.float32))


def test_labels_are_one_for_each_code():
    with pytest.raises(InputError, match="2 labels for 3 codes"):
        latent_map(np.ones((3, 2), dtype=np.float32), ["a", "b"])


def test_strips_stand_below_each_other_and_numbers_outside_are_cut():
    grey = np.linspace(-1, 2, 3 * 16).reshape(3, 1, 4, 4)
    colour = np.zeros((2, 3, 4, 4))
    figure = sheet({"before": grey, "after": colour}, columns=3)
    shown = [axes.images[0].get_array() if axes.images else None for axes in figure.axes]
    assert len(shown) == 6
    assert shown[5] is None
    np.testing.assert_allclose(shown[0], grey[0, 0].clip(0, 1))
    np.testing.assert_allclose(shown[2], grey[2, 0].clip(0, 1))
    assert shown[3].shape == (4, 4, 3)
    assert [axes.get_ylabel() for axes in figure.axes][::3] == ["before", "after"]


def test_a_single_strip_is_a_grid():
    figure = sheet({"samples": np.zeros((5, 1, 2, 2))}, columns=2)
    assert len(figure.axes) == 6
    assert sum(bool(axes.images) for axes in figure.axes) == 5


@pytest.mark.parametrize(
    ("strips", "columns"),
    [
        ({}, 2),
        ({"none": np.zeros((0, 1, 2, 2))}, 2),
        ({"two": np.zeros((1, 2, 2, 2))}, 2),
        ({"a": np.zeros((1, 1, 2, 2))}, 0),
    ],
)
def test_what_is_no_sheet_is_refused(strips, columns):
    with pytest.raises(InputError):
        sheet(strips, columns)


@pytest.mark.parametrize(("name", "begins"), [("a.png", b"\x89PNG"), ("a.pdf", b"%PDF"), ("a.svg", b"<?xml")])
def test_figures_are_written_as_their_names_say(tmp_path, name, begins):
    path = save(training_curves(history()), tmp_path / name)
    assert path.read_bytes().startswith(begins)


def test_other_names_are_refused(tmp_path):
    with pytest.raises(InputError, match="png"):
        save(training_curves(history()), tmp_path / "a.bmp")


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingLibraryError, match="isthmus\\[plot\\]"):
        training_curves(history())


def test_an_index_shows_what_was_tried_and_its_vectors(monkeypatch):
    vectors = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    index = Index.build(vectors, kind="exact")
    tried, mapped = panels_of(index)
    assert (tried.name, type(tried)) == ("what was tried", Missing)
    assert mapped.name == "vectors"

    speeds = {"exact": (1.0, 100.0), "ivf": (0.97, 900.0), "ivf-pq": (0.968, 850.0), "hnsw": (0.99, 2000.0)}
    named = [{"kind": kind, "recall": found, "queries_per_second": speed} for kind, (found, speed) in speeds.items()]
    named.append({"kind": "slow", "recall": None, "queries_per_second": None})
    info = {"kind": "hnsw", "recall": 0.99, "target_recall": 0.95, "k": 10, "trials": named}
    monkeypatch.setattr(Index, "info", lambda index: info)
    figure = drawn(index_panels(index), "the index")
    assert len(figure.axes) == 2
    assert "recall@10" in figure.axes[0].get_xlabel()
    assert {text.get_text() for text in figure.axes[0].texts} == {"exact", "ivf", "ivf-pq", "hnsw (chosen)"}
    assert figure.get_suptitle() == "the index"


def test_only_fitted_models_have_an_overview():
    with pytest.raises(InputError, match="a dict"):
        overview({})
