"""Crops against slices of the images, turned by other means."""

from __future__ import annotations

import pytest
import torch

from isthmus.errors import InputError
from isthmus_images.crops import ORIENTATIONS, Crops


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(channels: int = 2) -> list[torch.Tensor]:
    sizes = [(9, 12), (7, 7), (20, 8)]
    return [torch.randint(0, 256, (channels, *size), generator=generator(), dtype=torch.uint8) for size in sizes]


def all_ways(crop: torch.Tensor) -> list[torch.Tensor]:
    mirrored = [crop, crop.flip(-1)]
    return [torch.rot90(one, turns, (-2, -1)) for one in mirrored for turns in range(4)]


def test_a_crop_is_a_slice_turned() -> None:
    given = images()
    source = Crops.drawn(given, 5, 60, generator=generator(1))
    found = source.batch(torch.arange(60)).inputs.values
    assert found.shape == (60, 2, 5, 5)
    for crop, (image, top, left, _) in zip(found, source.places.tolist(), strict=True):
        plain = given[image][:, top : top + 5, left : left + 5].float() / 255
        assert sum(torch.equal(crop, way) for way in all_ways(plain)) == 1


def test_every_orientation_is_another_one() -> None:
    source = Crops.drawn(images(1)[:1], 6, 1, generator=generator())
    places = source.places.expand(ORIENTATIONS, 4).clone()
    places[:, 3] = torch.arange(ORIENTATIONS)
    turned = Crops(source.pixels, source.sizes, source.starts, places, 6).batch(torch.arange(ORIENTATIONS))
    distinct = {tuple(crop.flatten().tolist()) for crop in turned.inputs.values}
    assert len(distinct) == ORIENTATIONS


def test_places_reach_every_border_and_follow_from_the_seed() -> None:
    one, same, other = (Crops.drawn(images(), 7, 900, generator=generator(seed)) for seed in (3, 3, 4))
    assert torch.equal(one.places, same.places)
    assert not torch.equal(one.places, other.places)
    for image, (_, height, width) in enumerate(one.sizes.tolist()):
        own = one.places[one.places[:, 0] == image]
        assert len(own) == 300
        assert (int(own[:, 1].min()), int(own[:, 1].max())) == (0, height - 7)
        assert (int(own[:, 2].min()), int(own[:, 2].max())) == (0, width - 7)


def test_order_and_lengths() -> None:
    source = Crops.drawn(images(), 4, 10, generator=generator()).to(torch.device("cpu"))
    rows = torch.tensor([7, 2, 7])
    found = source.batch(rows)
    assert torch.equal(found.rows, rows)
    assert torch.equal(found.inputs.values[0], found.inputs.values[2])
    assert source.lengths.tolist() == [32] * len(source) == [32] * 10


def test_crops_that_cannot_be_drawn() -> None:
    for size in (0, 8):
        with pytest.raises(InputError, match=f"{size} x {size}"):
            Crops.drawn(images(), size, 5, generator=generator())
    with pytest.raises(InputError, match="0 images"):
        Crops.drawn([], 4, 5, generator=generator())
    with pytest.raises(InputError, match="0 crops"):
        Crops.drawn(images(), 4, 0, generator=generator())
    with pytest.raises(InputError, match="one kind"):
        Crops.drawn([*images(1), *images(3)], 4, 5, generator=generator())
