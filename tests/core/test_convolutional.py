"""Convolutional ends: sizes, seeds, that rows are independent, and that they learn images whose answer is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from isthmus.batch import Bags, Values
from isthmus.core.decoders import ConvDecoder
from isthmus.core.encoders import ConvEncoder
from isthmus.core.ops.convolutions import convolution, doubling, halvings, images_of
from isthmus.core.readouts import GridReadout
from isthmus.errors import InputError, SettingError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int, channels: int, height: int, width: int) -> Values:
    return Values(torch.rand(count, channels, height, width, generator=generator(1)))


@pytest.mark.parametrize(
    ("height", "width", "widths"),
    [(28, 28, (4, 8)), (8, 8, (4, 5, 6)), (9, 23, (3, 4)), (31, 8, (3, 4, 5)), (15, 17, (3, 4, 5, 6)), (12, 40, (2,))],
)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("outputs", [1, 4])
def test_there_and_back_for_any_size(
    channels: int, height: int, width: int, widths: tuple[int, ...], outputs: int
) -> None:
    encoder = ConvEncoder(channels, height, width, widths, generator=generator(), hidden=11)
    decoder = ConvDecoder(6, height, width, widths, generator=generator())
    readout = GridReadout(widths[0], channels, height, width, generator=generator(), outputs=outputs)
    hidden = encoder.trunk(encoder.enter(images(3, channels, height, width)), None)
    assert hidden.shape == (3, 11)
    logits = readout.logits(decoder(torch.randn(5, 6, generator=generator()), None))
    assert logits.shape == (5, channels * outputs, height, width)


def test_what_a_convolution_computes() -> None:
    """Against the plain sum over a window, border of zeros included."""
    layer = convolution(2, 3, generator(), stride=2)
    with torch.no_grad():
        layer.bias.copy_(torch.tensor([0.1, -0.2, 0.3]))
    x = torch.randn(1, 2, 5, 6, generator=generator(2))
    padded = torch.nn.functional.pad(x, (1, 1, 1, 1))
    plain = torch.stack(
        [
            torch.stack([(padded[0, :, r : r + 3, c : c + 3] * layer.weight).sum((1, 2, 3)) for c in range(0, 6, 2)], 1)
            for r in range(0, 5, 2)
        ],
        1,
    )
    torch.testing.assert_close(layer(x)[0], plain + layer.bias[:, None, None], atol=1e-5, rtol=1e-5)


def test_weights_follow_from_the_generator_alone() -> None:
    state = torch.get_rng_state()
    first, again = (ConvEncoder(1, 8, 8, (3,), generator=generator(4)).state_dict() for _ in range(2))
    other = ConvEncoder(1, 8, 8, (3,), generator=generator(5)).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["layers.0.weight"], other["layers.0.weight"])


@pytest.mark.parametrize("make", [convolution, doubling])
def test_first_weights_keep_the_scale(make) -> None:  # type: ignore[no-untyped-def]
    """He et al. 2015: rectified states keep their mean square, here within a few per cent."""
    layer = make(64, 64, generator())
    x = torch.randn(4, 64, 20, 20, generator=generator(1)).relu()
    inner = layer(x)[:, :, 2:-2, 2:-2]
    assert float(inner.detach().square().mean()) == pytest.approx(2 * float(x.square().mean()), rel=0.1)


def test_a_row_does_not_depend_on_the_others() -> None:
    encoder = ConvEncoder(1, 10, 10, (4, 6), generator=generator(), hidden=5).double()
    values = images(4, 1, 10, 10).values.double()
    whole = encoder.trunk(encoder.enter(Values(values)), None)
    alone = torch.cat([encoder.trunk(encoder.enter(Values(values[row : row + 1])), None) for row in range(4)])
    torch.testing.assert_close(whole, alone)


def test_layout_in_memory_does_not_change_the_answer() -> None:
    given = images(2, 3, 9, 11)
    entered = images_of(given, 3, 9, 11)
    assert entered.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(entered, given.values)


def test_every_parameter_gets_a_gradient() -> None:
    encoder = ConvEncoder(1, 9, 8, (3, 4), generator=generator(), hidden=5)
    decoder = ConvDecoder(5, 9, 8, (3, 4), generator=generator())
    readout = GridReadout(3, 1, 9, 8, generator=generator())
    pixels = readout.logits(decoder(encoder.trunk(encoder.enter(images(4, 1, 9, 8)), None)))
    pixels.square().sum().backward()
    for part in (encoder, decoder, readout):
        for name, parameter in part.named_parameters():
            assert parameter.grad is not None, name
            assert bool(parameter.grad.any()), name


def test_they_learn_where_a_square_lies() -> None:
    """One bright square of 4 x 4 pixels in one of 9 places: 9 images, which a code of 4 numbers can tell apart."""
    places: Tensor = torch.zeros(9, 1, 12, 12)
    for place in range(9):
        row, column = divmod(place, 3)
        places[place, 0, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 1
    encoder = ConvEncoder(1, 12, 12, (8, 8), generator=generator(), hidden=4)
    decoder = ConvDecoder(4, 12, 12, (8, 8), generator=generator())
    readout = GridReadout(8, 1, 12, 12, generator=generator())
    parameters = [p for part in (encoder, decoder, readout) for p in part.parameters()]
    optimizer = torch.optim.Adam(parameters, 1e-2)
    for _ in range(250):
        pixels = readout.logits(decoder(encoder.trunk(encoder.enter(Values(places)), None)))
        loss = (pixels - places).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    # The mean image, the best answer without a code, has a loss of 1/9 · 8/9 = .099.
    assert float(loss.detach()) < 0.005


def test_sizes_of_maps() -> None:
    assert halvings(28, 28, 2) == [(28, 28), (14, 14), (7, 7)]
    assert halvings(9, 8, 3) == [(9, 8), (5, 4), (3, 2), (2, 1)]


@pytest.mark.parametrize(("height", "width", "times"), [(7, 20, 1), (20, 7, 1), (8, 8, 4), (8, 8, 0)])
def test_sizes_that_cannot_be(height: int, width: int, times: int) -> None:
    with pytest.raises(SettingError):
        halvings(height, width, times)


@pytest.mark.parametrize("widths", [(), (4, 0)])
def test_widths_that_cannot_be(widths: tuple[int, ...]) -> None:
    with pytest.raises(SettingError, match="widths"):
        ConvEncoder(1, 16, 16, widths, generator=generator())
    with pytest.raises(SettingError, match="widths"):
        ConvDecoder(3, 16, 16, widths, generator=generator())


def test_inputs_that_are_no_images_of_this_size() -> None:
    encoder = ConvEncoder(3, 16, 18, (4,), generator=generator())
    bags = Bags(torch.zeros(0, dtype=torch.int64), torch.zeros(2, dtype=torch.int64), torch.zeros(0))
    for given in (images(2, 3, 18, 16), images(2, 1, 16, 18), Values(torch.zeros(2, 5)), bags):
        with pytest.raises(InputError, match="3 x 16 x 18"):
            encoder.enter(given)
    assert images_of(images(1, 3, 9, 40), 3).shape == (1, 3, 9, 40)


def test_images_are_read_whole() -> None:
    readout = GridReadout(3, 1, 9, 8, generator=generator())
    with pytest.raises(SettingError, match="columns"):
        readout.logits(torch.zeros(1, 3, 5, 4), slice(0, 3))
