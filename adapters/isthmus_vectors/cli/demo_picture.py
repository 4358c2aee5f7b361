"""The three panels of the demo's picture, drawn on axes from ``isthmus.plots``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

INCHES = (15.0, 4.8)
BLUE, ORANGE, GREY = "#2b6cb0", "#dd6b20", "#718096"
BINS = 30
ROOM = 0.45
"""Share of the height of the word map for the legend below it."""

GROUPS: Mapping[str, tuple[str, ...]] = {
    "#2b6cb0": ("violin", "piano", "guitar", "flute", "trumpet"),
    "#2f855a": ("horse", "dog", "cow", "sheep", "goat"),
    "#dd6b20": ("january", "april", "july", "october", "december"),
    "#c53030": ("france", "germany", "italy", "spain", "poland"),
    "#6b46c1": ("mother", "father", "daughter", "brother", "aunt"),
}
"""Groups of words with their colours."""


def draw_scores(
    axes: Any, scores: npt.NDArray[np.float64], malignant: npt.NDArray[np.bool_], threshold: float, auroc: float
) -> None:
    """Draw histograms of the scores of benign and malignant tumours, with the threshold."""
    bins = np.linspace(scores.min(), scores.max(), BINS + 1).tolist()
    axes.hist(scores[~malignant], bins, color=BLUE, alpha=0.75, label="benign")
    axes.hist(scores[malignant], bins, color=ORANGE, alpha=0.75, label="malignant")
    axes.axvline(threshold, color="black", linestyle="--", linewidth=1, label="threshold")
    axes.set_xlabel("anomaly score")
    axes.set_ylabel("tumours")
    axes.set_title(f"Malignant tumours as anomalies: AUROC {auroc:.3f}\n(trained on benign ones only)", fontsize=11)
    _finish(axes)


def draw_recalls(axes: Any, recalls: Sequence[Mapping[str, int | float]], whole: int) -> None:
    """Draw the share of nearest neighbours that is found, by the number of bytes per vector."""
    sizes = [line["bytes"] for line in recalls]
    for name, key, colour, marker in (
        ("isthmus", "recall", BLUE, "o"),
        ("FAISS product quantisation", "product_quantisation_recall", GREY, "s"),
    ):
        shares = [line[key] for line in recalls]
        axes.plot(sizes, shares, color=colour, marker=marker, linewidth=2, label=name)
        for size, share in zip(sizes, shares, strict=True):
            above = key == "recall"
            axes.annotate(
                f"{share:.0%}",
                (size, share),
                xytext=(0, 8 if above else -16),
                textcoords="offset points",
                ha="center",
                color=colour,
                fontsize=9,
            )
    axes.set_xticks(sizes)
    axes.set_xlim(min(sizes) - 2, max(sizes) + 2)
    axes.set_ylim(0, 1)
    axes.set_xlabel(f"bytes per vector (of {whole})")
    axes.set_ylabel("share of the 10 nearest that is found")
    axes.set_title("Neighbours of words whose vectors\nare stored in a few bytes", fontsize=11)
    _finish(axes)


def draw_words(
    axes: Any, words: Sequence[str], vectors: npt.NDArray[Any], decoded: npt.NDArray[Any], bytes: int
) -> None:
    """Draw some words before and after compression: a ring for the original vector, a dot for the decoded one."""
    place = {word: row for row, word in enumerate(words)}
    rows = np.array([place[word] for group in GROUPS.values() for word in group])
    chosen = vectors[rows].astype(np.float64)
    centre = chosen.mean(0)
    plane = np.linalg.svd(chosen - centre, full_matrices=False)[2][:2].T
    before, after = (chosen - centre) @ plane, (decoded[rows] - centre) @ plane
    first = 0
    for colour, group in GROUPS.items():
        here = slice(first, first + len(group))
        axes.plot([before[here, 0], after[here, 0]], [before[here, 1], after[here, 1]], color=colour, linewidth=0.8)
        axes.scatter(before[here, 0], before[here, 1], s=30, facecolors="none", edgecolors=colour)
        axes.scatter(after[here, 0], after[here, 1], s=22, color=colour, label=", ".join(group))
        first += len(group)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.margins(0.06)
    axes.set_ylim(axes.get_ylim()[0] - ROOM * np.ptp(before[:, 1]), None)
    axes.set_title(f"Words by their principal components,\noriginal (rings) and from {bytes} bytes (dots)", fontsize=11)
    _finish(axes, place="lower center")


def _finish(axes: Any, place: str = "best") -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9, loc=place)
