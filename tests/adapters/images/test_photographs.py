"""Photographs cleaned by the network of the package: sizes, colours, transparency, orientation, depth and names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isthmus import bundle
from isthmus.cli import main
from isthmus.errors import BundleError, InputError, SourceError
from isthmus_images import ImageAutoencoder, photo_denoiser, photo_denoising
from isthmus_images.files.photographs import read_photograph, write_photograph
from isthmus_images.photo_denoising import ASSET, cleaner, level_of

SCALE = 25


def scene(height: int = 90, width: int = 120, channels: int = 3) -> np.ndarray:
    """A slope, a disc and bars, bytes; grey without a channel axis."""
    y, x = np.mgrid[:height, :width]
    disc = np.hypot(y - height / 2, x - width / 3) < height / 4
    layers = [60 + 100 * x / width, 200 - 120 * y / height, 90 + 60 * ((x // 9) % 2)][:channels]
    found = np.stack([np.where(disc, 40 + 70 * place, layer) for place, layer in enumerate(layers)], -1)
    return found.astype(np.uint8) if channels > 1 else found[..., 0].astype(np.uint8)


def noisy(picture: np.ndarray, seed: int = 0) -> np.ndarray:
    drawn = picture + np.random.default_rng(seed).normal(0, SCALE, picture.shape)
    return np.clip(np.rint(drawn), 0, 255).astype(np.uint8)


def error(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.square(one.astype(float) - other).mean())


def denoise(*args: object) -> int:
    return main(["denoise", *map(str, args)])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tif", "bmp"])
def test_a_photograph_is_cleaned_without_any_training(tmp_path: Path, channels: int, ending: str) -> None:
    clean, given, out = scene(channels=channels), tmp_path / "a.png", tmp_path / f"out.{ending}"
    Image.fromarray(noisy(clean)).save(given)
    assert denoise(given, "--out", out) == 0
    found = np.asarray(Image.open(out))
    if channels == 1 and found.ndim == 3:
        found = found[..., 0]
    assert found.shape == clean.shape
    assert error(found, clean) < 0.15 * error(noisy(clean), clean)


def test_the_level_can_be_told_and_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clean, given = scene(channels=1), tmp_path / "a.png"
    Image.fromarray(noisy(clean)).save(given)
    assert denoise(given, "--out", tmp_path / "b.png", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["levels"]["a.png"] == pytest.approx(SCALE / 255, rel=0.1)
    assert denoise(given, "--out", tmp_path / "c.png", "--level", "0.002", "--json") == 0
    assert json.loads(capsys.readouterr().out)["levels"] == {"a.png": 0.002}
    kept = np.asarray(Image.open(tmp_path / "c.png"))
    assert error(kept, noisy(clean)) < 0.5 * error(noisy(clean), clean), "of little noise little is taken away"
    assert denoise(given, "--out", tmp_path / "d.png") == 0
    assert "noise 0.0" in capsys.readouterr().out


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 5), (63, 65)])
def test_any_size(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.fromarray(noisy(scene(*size))).save(tmp_path / "a.png")
    assert denoise(tmp_path / "a.png", "--out", tmp_path / "b.png") == 0
    assert Image.open(tmp_path / "b.png").size == size[::-1]


def test_transparency_profile_and_orientation_are_kept(tmp_path: Path) -> None:
    alpha = np.arange(90 * 120).reshape(90, 120).astype(np.uint8)
    image = Image.fromarray(np.dstack([noisy(scene()), alpha]))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    image.save(tmp_path / "a.png", exif=exif, icc_profile=b"a profile")
    assert denoise(tmp_path / "a.png", "--out", tmp_path / "b.png") == 0
    found = Image.open(tmp_path / "b.png")
    assert (found.mode, found.size) == ("RGBA", (90, 120)), "it stands upright"
    assert np.array_equal(np.asarray(found)[..., 3], np.rot90(alpha, -1))
    assert found.info["icc_profile"] == b"a profile"
    assert (found.getexif().get(0x010F), found.getexif().get(0x0112)) == ("a camera", None)
    assert error(np.asarray(found)[..., :3], np.rot90(scene(), -1)) < 0.15 * error(noisy(scene()), scene())


def test_sixteen_bits_in_grey_are_kept_and_more_than_that_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clean = scene(channels=1).astype(np.float64) * 257
    deep = np.clip(clean + np.random.default_rng(0).normal(0, SCALE * 257, clean.shape), 0, 65535).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "a.png")
    assert denoise(tmp_path / "a.png", "--out", tmp_path / "b.png") == 0
    found = np.asarray(Image.open(tmp_path / "b.png"))
    assert found.dtype == np.uint16
    assert len(np.unique(found)) > 1000, "not 256 grey values"
    assert error(found, clean) < 0.15 * error(deep, clean)
    assert denoise(tmp_path / "a.png", "--out", tmp_path / "c.jpg") == 2
    assert "16 bits" in capsys.readouterr().err
    Image.fromarray(scene(channels=1).astype(np.float32)).save(tmp_path / "f.tif")
    assert denoise(tmp_path / "f.tif", "--out", tmp_path / "d.png") == 2
    assert "8 bits" in capsys.readouterr().err
    sixteen_in_colour(tmp_path / "e.png")
    with pytest.raises(InputError, match="more than 8 bits"):
        read_photograph(tmp_path / "e.png")


def sixteen_in_colour(path: Path) -> None:
    """A PNG file of 16 bits in each of three colours, which Pillow cannot write."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(6 * 4) for _ in range(4))
    head = struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)


def test_palettes_and_inks(tmp_path: Path) -> None:
    picture = Image.fromarray(noisy(scene()))
    picture.quantize(64).save(tmp_path / "a.gif")
    picture.convert("CMYK").save(tmp_path / "b.jpg")
    Image.fromarray(noisy(scene(channels=1))).convert("1").save(tmp_path / "c.png")
    for name, mode in (("a.gif", "RGB"), ("b.jpg", "RGB"), ("c.png", "L")):
        assert denoise(tmp_path / name, "--out", tmp_path / f"{name}.out.png") == 0
        assert Image.open(tmp_path / f"{name}.out.png").mode == mode


def test_a_folder_of_photographs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given, out = tmp_path / "in", tmp_path / "out"
    (given / "deep").mkdir(parents=True)
    Image.fromarray(noisy(scene())).save(given / "a.jpg")
    Image.fromarray(noisy(scene(40, 30, 1))).save(given / "deep" / "b.png")
    Image.fromarray(noisy(scene(30, 30, 1))).save(given / "c.gif")
    (given / "broken.png").write_bytes(b"no picture")
    assert denoise(given, "--out", out) == 2
    assert not out.exists()
    capsys.readouterr()
    assert denoise(given, "--out", out, "--skip-broken", "--json") == 0
    told = capsys.readouterr()
    assert "broken.png" in told.err
    assert set(json.loads(told.out)["levels"]) == {"a.jpg", "c.gif", "deep/b.png"}
    written = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert written == ["a.jpg", "c.gif.png", "deep/b.png"]
    assert Image.open(out / "deep" / "b.png").size == (30, 40)
    (tmp_path / "empty").mkdir()
    assert denoise(tmp_path / "empty", "--out", tmp_path / "none") == 2


def test_names_and_paths_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(np.dstack([scene(), scene()[..., 0]])).save(tmp_path / "a.png")
    for args, said in (
        ((tmp_path / "none.png", "--out", tmp_path / "b.png"), "none.png"),
        ((tmp_path / "a.png", "--out", tmp_path / "b.jpg"), "transparent"),
        ((tmp_path / "a.png", "--out", tmp_path / "a.png"), "exists"),
        ((tmp_path / "a.png", tmp_path / "a.png", tmp_path / "a.png", "--out", tmp_path / "b"), "3 paths"),
        ((tmp_path / "nothing", tmp_path / "a.png", "--out", tmp_path / "b.png"), "nothing"),
        (("--out", tmp_path / "b.png"), "IMAGES"),
        ((tmp_path / "a.png", "--level", "-1", "--out", tmp_path / "b.png"), "level"),
    ):
        assert denoise(*args) == 2, args
        assert said in capsys.readouterr().err
    assert not (tmp_path / "b.jpg").exists()
    with pytest.raises(SourceError):
        read_photograph(tmp_path / "none.png")
    photograph = read_photograph(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"\.doc"):
        write_photograph(tmp_path / "a.doc", photograph)


def test_the_network_of_the_package_is_an_ordinary_model(tmp_path: Path) -> None:
    model = photo_denoiser()
    model.save(tmp_path / "m")
    again = ImageAutoencoder.load(tmp_path / "m")
    clean = scene(channels=1)
    given = noisy(clean)[None]
    found = model.denoise(given, level=SCALE / 255)
    np.testing.assert_array_equal(again.denoise(given, level=SCALE / 255), found)
    assert error(found[0] * 255, clean) < 0.15 * error(noisy(clean), clean)
    pixels = np.float32(given) / 255
    np.testing.assert_allclose(np.clip(cleaner(model, SCALE / 255)(pixels), 0, 1), found, atol=1e-6)
    assert level_of(pixels) == pytest.approx(SCALE / 255, rel=0.1)
    Image.fromarray(noisy(scene())).save(tmp_path / "a.png")
    assert denoise(tmp_path / "m", tmp_path / "a.png", "--out", tmp_path / "b.png") == 0
    assert Image.open(tmp_path / "b.png").mode == "RGB"


def test_the_files_of_the_package_are_small_and_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(photo_denoising.__file__).parent / "data" / ASSET
    assert sum(path.stat().st_size for path in folder.rglob("*")) < 3_000_000
    manifest = bundle.read(folder).manifest
    assert manifest.builder == "unet_denoiser"
    import shutil

    shutil.copytree(folder, tmp_path / "data" / ASSET)
    weights = tmp_path / "data" / ASSET / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    monkeypatch.setattr(photo_denoising, "files", lambda _: tmp_path)
    photo_denoiser.cache_clear()
    try:
        with pytest.raises(BundleError, match="weights"):
            photo_denoiser()
    finally:
        monkeypatch.undo()
        photo_denoiser.cache_clear()
