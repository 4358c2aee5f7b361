"""The use of the dimensions of a code: how much each varies, or how often it is not zero."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from isthmus.plots.drawing import BLUE, Axes, finish

SPARSE = 0.2
"""A code with at least this share of zeros counts as sparse."""

VARIES = 0.1
"""Standard deviation from which a dimension counts as used: a variance of 0.01 (Burda et al. 2016)."""


def draw_code_use(axes: Axes, codes: Float[np.ndarray, "rows code"]) -> None:
    """Dimensions by their use: for a sparse code the share of records in which each is nonzero, otherwise its standard
    deviation over the records.

    Args:
        axes: to draw on.
        codes: codes of at least two records.
    """
    width = codes.shape[1]
    if float((codes == 0).mean()) >= SPARSE:
        use = (codes != 0).mean(0)
        title = f"Use of the code: {int((use > 0).sum()):,} of {width:,} units are ever active"
        up = "share of the records in which it is active"
    else:
        use = codes.astype(np.float64).std(0)
        title = f"Use of the code: {int((use >= VARIES).sum()):,} of {width:,} dimensions vary"
        up = "standard deviation over the records"
    ordered = np.sort(use)[::-1]
    places = np.arange(1, width + 1)
    if width <= 64:
        axes.bar(places, ordered, color=BLUE, width=0.8)
    else:
        axes.fill_between(places, ordered, step="mid", color=BLUE, linewidth=0)
    axes.set_ylim(0, 1.08 * max(float(ordered[0]), 1e-6))
    axes.set_xlim(0.4, width + 0.6)
    axes.xaxis.get_major_locator().set_params(integer=True)
    finish(axes, title, "dimension of the code, most used first", up, grid="y")
