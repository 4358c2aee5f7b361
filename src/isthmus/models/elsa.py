"""ELSA: Vančura, Alves, Kasalický & Kordík, "Scalable Linear Shallow Autoencoder for Collaborative Filtering", RecSys
2022,
and its parts: one table of unit rows that encoder and decoder share, and the cosine loss.

    decoded = x A,     prediction = x A Aᵀ − x,     A [width, code] with rows of length 1

Because the rows have length 1, the diagonal of A Aᵀ − I is 0, as in EASE.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor, nn

from isthmus.batch import Bag, Bags, Tensors, require_bags
from isthmus.capabilities import AffineLayer
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.deterministic import Deterministic
from isthmus.core.decoders import DenseDecoder
from isthmus.core.ops.bags import bag_sum
from isthmus.core.ops.layers import ACTIVATIONS
from isthmus.core.placement import Rows, current
from isthmus.models.recipes.checks import check_settings
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.protocols import Columns, Hook, Model, Phase
from isthmus.training.batching import Shuffled
from isthmus.training.plan import Plan


def elsa(
    signal: Bag,
    *,
    generator: Generator,
    code: int = 256,
    epochs: int = 20,
    batch_size: int = 512,
    learning_rate: float = 0.1,
    decay: str = "cosine",
    patience: int | None = None,
) -> GradientRecipe:
    """ELSA: a low-rank linear autoencoder, trained by gradient descent (Vančura et al., RecSys 2022).

    Advice: catalogues that are too large for EASE and EDLAE; memory grows linearly with the number of items.

    x is predicted as x A Aᵀ − x with a table A of unit rows, which is trained to maximise the cosine of both (equation
    5 of the paper). The authors clip the prediction at 0 in the loss, which needs all its columns; this is omitted
    here, so that no matrix of users × items is built. A step costs items × code² products for any batch size. Scores
    are x A Aᵀ; the term −x only affects items that are already in the bag.

    Args:
        code: length of the rows; a larger code represents rare pairs of items better.
        epochs: passes over the data.
        batch_size: users per batch.
        learning_rate: initial step size of Adam.
        decay: how the learning rate changes: "cosine", which lowers it to 0, or "constant".
        patience: epochs without a better validation score before training stops; None trains all epochs.
    """
    check_settings(code=code, epochs=epochs, batch_size=batch_size)
    readout = UnitNormReadout(signal.width, code, generator=generator)
    model = Autoencoder(
        encoder=TiedEncoder(readout),
        bottleneck=Deterministic(),
        decoder=DenseDecoder(code, generator=generator),
        readout=readout,
        likelihood=CosineError(),
        hooks=(keep_unit_rows(readout),),
    )
    plan = Plan(
        phases=(Phase(epochs),),
        batching=Shuffled(batch_size),
        learning_rate=learning_rate,
        decay=decay,
        patience=patience,
        capturable=True,
    )
    return GradientRecipe(model, plan, by_rows=True)


class UnitNormReadout(nn.Module):
    """logit_i = a_i · d for unit rows a_i: a ranking readout whose bias is 0.

    The rows of the table are normalised by ``__init__`` and during training by ``keep_unit_rows``, so that it can be
    used directly. Gradients are those of ``table / ‖table‖``, which have no component along the rows.

    Args:
        width: number of rows.
        code: length of the rows.
    """

    def __init__(self, width: int, code: int, *, generator: Generator) -> None:
        super().__init__()
        self.rows = current().rows(width)
        self.table = self.rows.table(lambda rows: rows.normal_(generator=generator), code)
        self.normalise()

    @property
    def weight(self) -> Float[Tensor, "width code"]:
        """The item vectors A, each of length one, shape [items, d]."""
        return self._unit(self.table)

    @property
    def bias(self) -> Float[Tensor, " width"]:
        """Zeros: ELSA has no bias."""
        return self.table.new_zeros(len(self.table))

    def logits(self, decoded: Float[Tensor, "batch code"], columns: Columns = None) -> Float[Tensor, "batch columns"]:
        """Inner products of the decoded state with all rows, a slice of them, or some by number."""
        if self.rows.whole:
            return decoded @ self._unit(self.table if columns is None else self.table[columns]).T
        return self.rows.logits(decoded, self.weight, None, columns)

    def vectors(self) -> Float[Tensor, "width code_plus_one"]:
        """[a_i, 0], detached: the rows of an index."""
        return F.pad(self.table.detach(), (0, 1))

    def queries(self, decoded: Float[Tensor, "batch code"]) -> Float[Tensor, "batch code_plus_one"]:
        """The decoded vector with a one appended for the bias: [d, 1]."""
        return F.pad(decoded, (0, 1), value=1.0)

    def sums(self, bags: Bags) -> Float[Tensor, "batch code"]:
        """x A; only the rows of items in the bags are accessed."""
        bags = self.rows.own(bags)
        if not torch.is_grad_enabled():
            return self.rows.total(bag_sum(self.table, bags))
        rows, renumbered = bags.renumbered(len(self.table))
        return self.rows.total(bag_sum(self._unit(self.table[rows]), renumbered))

    def square_sum(self, decoded: Float[Tensor, "batch code"]) -> Float[Tensor, " batch"]:
        """‖d Aᵀ‖² = d (AᵀA) dᵀ of each row, without the logits; in the precision of the table."""
        with torch.autocast(decoded.device.type, enabled=False):
            rows, decoded = self.weight, decoded.to(self.table.dtype)
            half = rows.T @ rows.detach()
            # The gradient with respect to AᵀA is symmetric, so one of its two products is computed and doubled.
            gram = self.rows.total(2 * half - half.detach())
            return ((decoded @ gram) * decoded).sum(1)

    def tables(self) -> dict[str, Rows]:
        """The table, see ``isthmus.core.placement``."""
        return {"table": self.rows}

    def normalise(self, model: Model | None = None) -> None:
        """Normalise the rows, in place; the argument of the hook is not used."""
        with torch.no_grad():
            self.table.div_(self.table.norm(dim=1, keepdim=True).clamp(min=torch.finfo(self.table.dtype).tiny))

    def _unit(self, rows: Float[Tensor, "rows code"]) -> Float[Tensor, "rows code"]:
        return F.normalize(rows, dim=1) if torch.is_grad_enabled() else rows


class TiedEncoder(nn.Module):
    """``enter`` is the sum of the readout's rows for the items of a bag, x A; there are no further layers."""

    def __init__(self, readout: UnitNormReadout) -> None:
        super().__init__()
        self.readout = readout

    def enter(self, inputs: Tensors) -> Float[Tensor, "batch code"]:
        """Sum the vectors of a user's items: x A."""
        return self.readout.sums(require_bags(inputs, "a tied encoder"))

    def trunk(self, entered: Float[Tensor, "batch code"], inputs: Tensors | None) -> Float[Tensor, "batch code"]:
        """Return the input unchanged; ELSA has no further layers."""
        return entered

    @property
    def entered_shape(self) -> tuple[int, ...]:
        """The shape of one entered record: ``(code,)``."""
        return (self.readout.table.shape[1],)

    def input_weights(self) -> Float[Tensor, "width code"]:
        """The item vectors A, shape [items, code]."""
        return self.readout.weight

    def affine_layers(self) -> tuple[AffineLayer, ...]:
        """The one layer, x A, without a bias."""
        weight = self.readout.weight
        return (AffineLayer(weight.T, weight.new_zeros(weight.shape[1]), ACTIVATIONS["identity"]),)


class CosineError:
    """−‖x/‖x‖ − y/‖y‖‖² = 2 cos(x, y) − 2 for y = d Aᵀ − x: a score from −4 to 0, not in nats (equation 5 of the
    paper).

    With x · y = d · xA − ‖x‖² and ‖y‖² = ‖d Aᵀ‖² − 2 d · xA + ‖x‖², no row of the catalogue's width is needed. The
    authors' code clips y at 0 first, which needs this row and is omitted. A bag without entries scores −2.
    """

    def __call__(
        self, readout: UnitNormReadout, decoded: Tensor, targets: Tensors, *, generator: Generator | None = None
    ) -> Float[Tensor, " batch"]:
        """The score of each row."""
        bags = require_bags(targets, "a cosine error")
        own = bags.reweighted(bags.weights.square()).totals()
        shared = (decoded * readout.sums(bags)).sum(1)
        # Rounding may give a value slightly below 0 for a prediction near 0.
        squares = (readout.square_sum(decoded) - 2 * shared + own).clamp(min=torch.finfo(own.dtype).eps)
        cosine = (shared - own) / (squares * own.clamp(min=torch.finfo(own.dtype).eps)).sqrt()
        return 2 * cosine - 2

    def mean(self, readout: UnitNormReadout, decoded: Tensor) -> Float[Tensor, "batch width"]:
        """The logits, d Aᵀ."""
        return readout.logits(decoded).float()

    def sample(self, readout: UnitNormReadout, decoded: Tensor, generator: Generator) -> Float[Tensor, "batch width"]:
        """The logits; there is no noise.

        Args:
            readout: readout of the model.
            decoded: output of the decoder.
            generator: random generator.

        Returns:
            One sample for each row.
        """
        return self.mean(readout, decoded)


def keep_unit_rows(readout: UnitNormReadout) -> Hook:
    """A hook that normalises the rows of the readout after every step."""
    # A bound method, so that a copy of the model normalises its own rows.
    return Hook("step", readout.normalise)
