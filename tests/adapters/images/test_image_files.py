"""Pictures, IDX files, arrays and folders as a user has them, whole and broken."""

from __future__ import annotations

import gzip
import logging
import lzma
from pathlib import Path

import numpy as np
import pytest
import torch
from pictured import bars
from PIL import Image

from isthmus.errors import InputError, SettingError, SourceError, ValueRangeError
from isthmus_images.files.idx import read_idx
from isthmus_images.images import Images


def idx_of(array: np.ndarray) -> bytes:
    sizes = b"".join(int(side).to_bytes(4, "big") for side in array.shape)
    return b"\0\0\x08" + bytes([array.ndim]) + sizes + array.tobytes()


def save(path: Path, mode: str, size: tuple[int, int] = (10, 8), value: object = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path)  # type: ignore[arg-type]


def test_a_flat_folder_in_the_order_of_names(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name, grey in (("b.png", 20), ("a.PNG", 10), ("c.bmp", 30)):
        save(tmp_path / name, "L", value=grey)
    (tmp_path / "notes.txt").write_text("no picture")
    save(tmp_path / ".hidden" / "thumb.png", "L")
    (tmp_path / "Thumbs.db").write_text("of the system")
    with caplog.at_level(logging.WARNING):
        found = Images.read(tmp_path)
    assert found.names == ("a.PNG", "b.png", "c.bmp")
    assert (found.skipped, found.reasons) == (("notes.txt",), ("no ending of a picture (.txt)",))
    assert "1 file of" in caplog.text
    assert "notes.txt" in caplog.text
    assert found.labels is None
    assert found.pixels[:, 0, 0, 0].tolist() == [10, 20, 30]
    assert (found.size, found.colour) == ((8, 10), "grey")


def test_a_nested_folder_has_labels(tmp_path: Path) -> None:
    save(tmp_path / "cat" / "one.png", "L")
    save(tmp_path / "dog" / "young" / "two.png", "L")
    found = Images.read(str(tmp_path))
    assert found.names == ("cat/one.png", "dog/young/two.png")
    assert found.labels == ("cat", "dog")


def test_one_picture_in_colour_makes_all_of_them_so(tmp_path: Path) -> None:
    save(tmp_path / "a.png", "L", value=7)
    save(tmp_path / "b.png", "RGB", value=(1, 2, 3))
    found = Images.read(tmp_path)
    assert found.colour == "colour"
    assert found.pixels[0, :, 0, 0].tolist() == [7, 7, 7]
    assert found.pixels[1, :, 0, 0].tolist() == [1, 2, 3]
    assert Images.read(tmp_path, colour="grey").pixels.shape == (2, 1, 8, 10)


MODES = [
    ("1", 1, [255]),
    ("L", 9, [9]),
    ("LA", (9, 255), [9]),
    ("LA", (9, 0), [255]),
    ("I;16", 65535, [255]),
    ("I;16", 2570, [10]),
    ("RGBA", (10, 20, 30, 255), [10, 20, 30]),
    ("RGBA", (10, 20, 30, 0), [255, 255, 255]),
    ("P", 0, [0]),
]


def test_modes(tmp_path: Path) -> None:
    wrong = []
    for mode, value, expected in MODES:
        save(tmp_path / "a.png", mode, value=value)
        found = Images.read(tmp_path / "a.png").pixels[0, :, 0, 0].tolist()
        wrong += [] if found == expected else [(mode, value, found)]
    assert wrong == []


def test_a_palette_of_greys_is_grey_and_one_of_colours_is_not(tmp_path: Path) -> None:
    for name, colour in (("grey", (40, 40, 40)), ("red", (200, 0, 0))):
        picture = Image.new("P", (9, 9), 1)
        picture.putpalette([0, 0, 0, *colour, 1, 2, 3])
        picture.save(tmp_path / f"{name}.png")
    assert Images.read(tmp_path / "grey.png").pixels[0, :, 0, 0].tolist() == [40]
    assert Images.read(tmp_path / "red.png").pixels[0, :, 0, 0].tolist() == [200, 0, 0]


def test_mixed_sizes_need_one_to_be_read_in(tmp_path: Path) -> None:
    save(tmp_path / "a.png", "L", (10, 8))
    save(tmp_path / "b.png", "L", (20, 20))
    with pytest.raises(InputError, match=r"8 x 10 .*20 x 20"):
        Images.read(tmp_path)
    assert Images.read(tmp_path, size=(9, 12)).pixels.shape == (2, 1, 9, 12)
    assert Images.read(tmp_path, size=16).size == (16, 16)


def test_scaling_keeps_the_middle(tmp_path: Path) -> None:
    wide = np.zeros((10, 30), np.uint8)
    wide[:, 10:20] = 200
    Image.fromarray(wide).save(tmp_path / "wide.png")
    assert Images.read(tmp_path / "wide.png", size=10).pixels.min() == 200


def test_pictures_stand_as_the_camera_held_them(tmp_path: Path) -> None:
    shot = Image.fromarray(np.arange(96, dtype=np.uint8).reshape(8, 12))
    exif = shot.getexif()
    exif[0x0112] = 6
    shot.save(tmp_path / "a.png", exif=exif)
    assert Images.read(tmp_path / "a.png").size == (12, 8)


def test_a_broken_file_is_refused_by_name_or_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save(tmp_path / "good.png", "L")
    whole = (tmp_path / "good.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[:40])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.png").write_text("not a picture at all")
    with pytest.raises(SourceError, match=r"cut\.png"):
        Images.read(tmp_path)
    with caplog.at_level(logging.WARNING):
        found = Images.read(tmp_path, on_error="skip")
    assert found.names == ("good.png",)
    assert found.skipped == ("cut.png", "empty.jpg", "text.png")
    assert "3 files" in caplog.text
    assert all(f"{name} (cannot be read)" in caplog.text for name in found.skipped)
    (tmp_path / "good.png").unlink()
    with pytest.raises(SourceError, match="3"):
        Images.read(tmp_path, on_error="skip")


def test_a_picture_that_would_fill_the_memory_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "huge.png", "L", (100, 100))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 6000)
    with pytest.raises(SourceError, match=r"huge\.png"):
        Images.read(tmp_path)


def test_places_without_images(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    for source, said in (("empty", "empty"), ("gone", "gone"), ("notes.txt", "notes.txt")):
        with pytest.raises(SourceError, match=said):
            Images.read(tmp_path / source)
    with pytest.raises(InputError, match="image"):
        Images.read([])
    with pytest.raises(InputError, match="int"):
        Images.read(3)


def test_idx_files_packed_or_not(tmp_path: Path) -> None:
    images, labels = bars(4), np.array([3, 1, 2, 0], np.uint8)
    for end, pack in {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}.items():
        path = tmp_path / f"train-images-idx3-ubyte{end}"
        path.write_bytes(pack(idx_of(images)))
        assert Images.read(path).labels is None
        (tmp_path / path.name.replace("images-idx3", "labels-idx1")).write_bytes(pack(idx_of(labels)))
        found = Images.read(path)
        assert np.array_equal(found.pixels[:, 0], images)
        assert found.labels == ("3", "1", "2", "0")


def test_idx_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "x-images-idx3-ubyte"
    whole = idx_of(bars(3))
    wrong = {
        "2 dimensions|in 2": idx_of(np.zeros((3, 3), np.uint8)),
        "not an IDX file": b"PNG?" + whole,
        "holds 431 bytes": whole[:-1],
        "whole header": whole[:7],
        "type 0x0d": whole[:2] + b"\x0d" + whole[3:],
    }
    for said, content in wrong.items():
        path.write_bytes(content)
        with pytest.raises(SourceError, match=said):
            Images.read(path)
    path.write_bytes(whole)
    (tmp_path / "x-labels-idx1-ubyte").write_bytes(idx_of(np.zeros(2, np.uint8)))
    with pytest.raises(SourceError, match="2 labels"):
        Images.read(path)
    (tmp_path / "y-idx3-ubyte.gz").write_bytes(b"no gzip")
    with pytest.raises(SourceError, match="cannot be read"):
        read_idx(tmp_path / "y-idx3-ubyte.gz")


def test_arrays_of_every_layout() -> None:
    grey, colour = bars(3), np.stack([bars(3), bars(3, 1), bars(3, 2)], 3)
    for given in (grey, grey[..., None], grey[:, None], torch.from_numpy(grey)):
        assert np.array_equal(Images.read(given).pixels[:, 0], grey)
    for given in (colour, colour.transpose(0, 3, 1, 2), list(colour)):
        assert np.array_equal(Images.read(given).pixels, colour.transpose(0, 3, 1, 2))
    floats = grey / 255
    assert Images.read(floats).pixels.dtype == np.float32
    np.testing.assert_allclose(Images.read(floats).array(), Images.read(grey).array(), atol=1e-7)
    assert Images.read(grey > 100).pixels.max() == 255
    assert np.array_equal(Images.read(grey.astype(np.int64)).pixels[:, 0], grey)
    assert np.array_equal(Images.read(colour).array(), colour.astype(np.float32) / 255)


def test_arrays_that_are_no_images() -> None:
    nan = np.full((2, 9, 9), np.nan)
    for given, error, said in (
        (np.zeros((9, 9), np.uint8), InputError, r"array\[None\]"),
        (np.zeros((2, 9, 9, 4), np.uint8), InputError, "1 or 3 channels"),
        (np.zeros((0, 9, 9), np.uint8), InputError, "at least one image"),
        (np.full((2, 9, 9), 200.0), ValueRangeError, "divide by 255"),
        (nan, ValueRangeError, "from nan"),
        (np.full((2, 9, 9), "x"), InputError, "an array of <U1"),
        ([np.zeros(9)], InputError, r"image 0 of shape \(9,\)"),
    ):
        with pytest.raises(error, match=said):
            Images.read(given)
    with pytest.raises(ValueRangeError, match="from nan"):
        Images.read(nan, noisy=True)
    assert Images.read(np.full((2, 9, 9), -1.5), noisy=True).pixels.min() == -1.5


def test_arrays_are_never_resized() -> None:
    with pytest.raises(InputError, match="12 x 12"):
        Images.read(bars(2), size=10)
    with pytest.raises(InputError, match="grey"):
        Images.read(bars(2), colour="colour")


def test_array_files(tmp_path: Path) -> None:
    images = bars(3)
    np.save(tmp_path / "a.npy", images)
    np.savez(tmp_path / "b.npz", first=images[0], second=images[1])
    np.savez(tmp_path / "c.npz", images=images)
    (tmp_path / "d.npy.xz").write_bytes(lzma.compress((tmp_path / "a.npy").read_bytes()))
    for name in ("a.npy", "c.npz", "d.npy.xz"):
        assert np.array_equal(Images.read(tmp_path / name).pixels[:, 0], images)
    assert Images.read(tmp_path / "b.npz").names == ("first", "second")
    (tmp_path / "e.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:90])
    (tmp_path / "f.npz").write_bytes(b"no archive")
    np.savez(tmp_path / "g.npz")
    np.save(tmp_path / "h.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    for name, said in (("e.npy", "cannot"), ("f.npz", "cannot"), ("g.npz", "no array"), ("h.npy", "cannot")):
        with pytest.raises(SourceError, match=said):
            Images.read(tmp_path / name)


def test_lists_of_pictures(tmp_path: Path) -> None:
    save(tmp_path / "a.png", "L", (12, 12), 50)
    mixed = Images.read([tmp_path / "a.png", Image.new("L", (12, 12), 60), bars(1)[0]])
    assert mixed.pixels[:2, 0, 0, 0].tolist() == [50, 60]
    assert mixed.names == (str(tmp_path / "a.png"), "1", "2")
    assert len(Images.read(Image.new("RGB", (9, 9)))) == 1
    with pytest.raises(InputError, match="with NaN"):
        Images.read(Image.fromarray(np.full((9, 9), np.nan, np.float32)))


def test_choices_that_are_none() -> None:
    for wrong in ({"size": 0}, {"size": (1, 2, 3)}, {"size": (4, -1)}, {"colour": "red"}, {"on_error": "mend"}):
        with pytest.raises(SettingError):
            Images.read(bars(2), **wrong)  # type: ignore[arg-type]


def test_selecting_keeps_names_and_labels() -> None:
    whole = Images(bars(3)[:, None], ("a", "b", "c"), ("x", "y", "z"))
    some = whole.select([2, 0])
    assert (some.names, some.labels) == (("c", "a"), ("z", "x"))
    assert np.array_equal(some.pixels, whole.pixels[[2, 0]])


# --- more than 8 bits ---


def ramp(low: float, high: float, kind: str, side: int = 16) -> np.ndarray:
    return np.linspace(low, high, side * side).reshape(side, side).astype(kind)


@pytest.mark.parametrize(
    ("array", "name"),
    [
        (ramp(0, 4095, "u2"), "a.png"),
        (ramp(0, 65535, "u2"), "a.png"),
        (ramp(0, 1023, "u2"), "a.tif"),
        (ramp(0, 255, "i4"), "a.tif"),
        (ramp(-1000, 3000, "i4"), "a.tif"),
        (ramp(0, 1, "f4"), "a.tif"),
        (ramp(273, 300, "f4"), "a.tiff"),
    ],
    ids=["12", "16", "10", "I", "signed", "F", "kelvin"],
)
def test_deep_pictures_use_their_own_range(array: np.ndarray, name: str, tmp_path: Path) -> None:
    Image.fromarray(array).save(tmp_path / name)
    for source in (tmp_path / name, tmp_path, [tmp_path / name], Image.open(tmp_path / name)):
        found = Images.read(source)
        assert found.colour == "grey"
        assert len(np.unique(found.pixels)) > 200
        assert (found.pixels.min(), found.pixels.max()) == (0, 255)
        assert found.levels == pytest.approx((array.min(), array.max()))
        assert (np.diff(found.pixels.ravel().astype(int)) >= 0).all()


@pytest.mark.parametrize(
    ("least", "most", "kind"),
    [(0, 4095, "u2"), (0, 65535, "u2"), (0, 200, "u2"), (-1000, 3000, "i2"), (0, 2**20, "i4"), (0, 999, "i8")],
)
def test_deep_arrays_are_scaled_as_deep_files_are(least: int, most: int, kind: str, tmp_path: Path) -> None:
    array = np.stack([ramp(least, most, kind), ramp(least, most, kind) // 2])
    for number, picture in enumerate(array):
        Image.fromarray(picture.astype("u2" if kind == "u2" else "i4")).save(tmp_path / f"{number}.tif")
    np.save(tmp_path / "a.npy", array)
    files = Images.read([tmp_path / "0.tif", tmp_path / "1.tif"])
    tensors = [torch.from_numpy(array.astype("i8"))] if most > 255 else []  # of small ones 64 bits are bytes
    for given in (array, list(array), tmp_path / "a.npy", *tensors):
        found = Images.read(given)
        assert found.levels == files.levels
        assert np.array_equal(found.pixels, files.pixels)
    assert Images.read(array[:1], levels=(least, 2 * most)).pixels.max() < 200


def test_the_pictures_of_a_folder_share_their_range(tmp_path: Path) -> None:
    for name, most in (("dark", 1000), ("light", 4000)):
        Image.fromarray(ramp(0, most, "u2")).save(tmp_path / f"{name}.png")
    save(tmp_path / "plain.png", "L", (16, 16), 200)
    found = Images.read(tmp_path)
    assert found.levels == (0, 4000)
    assert found.pixels.max((1, 2, 3)).tolist() == [63, 255, 200]
    assert Images.read(tmp_path / "dark.png", levels=(0, 4000)).pixels.max() == 63
    for odd in ((5, 5), (9, 2), (0, float("nan")), (1,)):
        with pytest.raises(SettingError, match="levels"):
            Images.read(tmp_path, levels=odd)


@pytest.mark.parametrize(("value", "byte"), [(0, 0), (2570, 10), (65535, 255)])
def test_an_even_picture_has_the_range_of_its_type(value: int, byte: int) -> None:
    assert Images.read(Image.new("I;16", (9, 9), value)).pixels.max() == byte


@pytest.mark.parametrize("name", ["a.jfif", "a.jpe", "a.avif", "a.webp", "a.tif", "a.tga", "a.jp2", "A.JFIF", "a.ico"])
def test_endings_of_pictures(name: str, tmp_path: Path) -> None:
    kind = {"jfif": "JPEG", "jpe": "JPEG", "tif": "TIFF", "jp2": "JPEG2000"}.get(name[2:].lower(), name[2:].upper())
    Image.new("RGB", (16, 16), (200, 30, 30)).save(tmp_path / name, format=kind)
    found = Images.read(tmp_path, colour="colour")
    assert found.names == (name,)
    assert np.abs(found.pixels[0, :, 8, 8].astype(int) - [200, 30, 30]).max() < 12


def test_modes_of_print_and_film(tmp_path: Path) -> None:
    Image.new("CMYK", (9, 9), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    first, second = (Image.new("P", (9, 9), index) for index in (1, 2))
    for frame in (first, second):
        frame.putpalette([0, 0, 0, 250, 0, 0, 0, 250, 0])
    first.save(tmp_path / "b.gif", save_all=True, append_images=[second])
    first.save(tmp_path / "c.png", transparency=1)
    found = Images.read(tmp_path).pixels[:, :, 4, 4].astype(int)
    assert np.abs(found - [[255, 0, 0], [250, 0, 0], [255, 255, 255]]).max() <= 3
