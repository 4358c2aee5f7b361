"""What is drawn and written: every image in its place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isthmus.errors import InputError
from isthmus_images import contact_sheet
from isthmus_images.images import Images


def ramps(count: int, shape: tuple[int, ...] = (8, 10)) -> np.ndarray:
    return np.stack([np.full(shape, (row + 1) / 20, np.float32) for row in range(count)])


def test_a_sheet_shows_each_image_where_it_belongs() -> None:
    page = contact_sheet.sheet([("first", ramps(3)), ("", ramps(2))])
    times = round(contact_sheet.TILE / 10)
    height, width = 8 * times, 10 * times
    assert page.size == (
        contact_sheet.GAP + 3 * (width + contact_sheet.GAP),
        2 * (height + contact_sheet.GAP) + contact_sheet.GAP + contact_sheet.CAPTION,
    )
    pixels = np.array(page)
    tops = (contact_sheet.GAP + contact_sheet.CAPTION, 2 * contact_sheet.GAP + contact_sheet.CAPTION + height)
    for top, count in zip(tops, (3, 2), strict=True):
        for place in range(count):
            left = contact_sheet.GAP + place * (width + contact_sheet.GAP)
            tile = pixels[top : top + height, left : left + width]
            assert (tile == round((place + 1) / 20 * 255)).all()
    assert (pixels[tops[1] :, contact_sheet.GAP + 2 * (width + contact_sheet.GAP) :] == 255).all(), (
        "nothing where no image is"
    )
    assert (pixels[: tops[0]] < 128).any(), "the caption is drawn"


def test_colour_on_a_sheet() -> None:
    red = np.zeros((1, 60, 60, 3), np.float32)
    red[..., 0] = 1
    pixels = np.array(contact_sheet.sheet([("", red)]))
    assert (pixels[contact_sheet.GAP : -contact_sheet.GAP, contact_sheet.GAP : -contact_sheet.GAP] == [255, 0, 0]).all()


def test_many_images_make_about_a_square() -> None:
    expected = {1: [1], 4: [2, 2], 10: [4, 4, 2], 400: [16] * 25}
    assert {count: [len(images) for _, images in contact_sheet.in_rows(ramps(count))] for count in expected} == expected


def test_a_folder_gets_each_image_by_its_name(tmp_path: Path) -> None:
    assert contact_sheet.write(tmp_path / "out", ramps(3), ["a/one.jpg", "two.png", "../../three"]) == 3
    written = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png"))
    assert written == ["out/a/one.png", "out/three.png", "out/two.png"]
    assert np.array(Image.open(tmp_path / "out" / "a" / "one.png")).tolist() == np.full((8, 10), 13).tolist()
    again = Images.read(tmp_path / "out")
    assert again.pixels.shape == (3, 1, 8, 10)


def test_names_that_clash_are_numbered(tmp_path: Path) -> None:
    contact_sheet.write(tmp_path / "out", ramps(2), ["a.png", "a.jpg"])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["00000-a.png", "00001-a.png"]


def test_one_array_or_one_picture(tmp_path: Path) -> None:
    contact_sheet.write(tmp_path / "a.npy", ramps(3), ["x"] * 3)
    assert np.array_equal(np.load(tmp_path / "a.npy"), ramps(3))
    contact_sheet.write(tmp_path / "a.png", ramps(3), ["x"] * 3)
    assert Image.open(tmp_path / "a.png").size[0] > 20
    with pytest.raises(InputError, match="exists"):
        contact_sheet.write(tmp_path / "a.png", ramps(3), ["x"] * 3)


def test_several_sizes_need_a_folder(tmp_path: Path) -> None:
    mixed = [ramps(1)[0], ramps(1, (9, 9))[0]]
    with pytest.raises(InputError, match="different sizes"):
        contact_sheet.write(tmp_path / "a.png", mixed, ["x", "y"])
    assert contact_sheet.write(tmp_path / "b", mixed, ["x", "y"]) == 2
    assert Image.open(tmp_path / "b" / "y.png").size == (9, 9)
