from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from radiograph_files import ramp

from contrastcxr.data.images import image_size, read_image
from contrastcxr.errors import ImageError

Png = Callable[..., Path]
GREY = ramp().astype(np.uint8)


def test_eight_bit_grey_becomes_values_from_zero_to_one(png: Png) -> None:
    np.testing.assert_array_equal(read_image(png()), GREY.astype(np.float32) / 255)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_grey_kept_in_another_mode_reads_the_same(png: Png, mode: str) -> None:
    np.testing.assert_allclose(read_image(png(mode=mode)), GREY / 255, atol=1e-6)


def test_jpeg_reads_the_same_but_for_its_loss(png: Png) -> None:
    np.testing.assert_allclose(read_image(png("a.jpg", quality=95)), GREY / 255, atol=0.03)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_sixteen_bit_files_are_scaled_by_the_bits_they_use(png: Png, bits: int) -> None:
    pixels = read_image(png(array=ramp(top=2**bits - 1)))
    assert float(pixels.max()) == 1.0
    np.testing.assert_allclose(pixels, ramp(top=2**bits - 1) / (2**bits - 1), atol=1e-6)


def test_transparent_pixels_are_black(png: Png) -> None:
    rgba = np.dstack([GREY, GREY, GREY, np.full_like(GREY, 255)])
    rgba[:10, :, 3] = 0
    pixels = read_image(png(array=rgba))
    assert pixels[:10].max() == 0
    assert pixels[11:].max() > 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_stands_the_picture_upright_and_swaps_its_size(png: Png, orientation: int) -> None:
    stored = Image.fromarray(GREY)
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transposition that undoes each orientation
    turned = stored.transpose(Image.Transpose(back[orientation])) if orientation in back else stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = png("e.png", np.asarray(turned), exif=exif)
    np.testing.assert_array_equal(read_image(path), GREY.astype(np.float32) / 255)
    assert image_size(path) == (64, 48)


def test_the_content_decides_and_not_the_name(png: Png, tmp_path: Path) -> None:
    wrong = png("a.png").rename(tmp_path / "really_a_png.jpg")
    assert read_image(wrong).shape == (48, 64)


def refused(path: Path, words: str) -> None:
    with pytest.raises(ImageError, match=re.escape(str(path))) as caught:
        read_image(path)
    assert re.search(words, str(caught.value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_truncated_files_are_refused(png: Png, name: str) -> None:
    path = png(name, np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(path, "truncated or damaged; copy it again")


def test_text_in_a_picture_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.png"
    path.write_text("not a picture")
    refused(path, "not a PNG, JPEG or DICOM file")


def test_empty_absent_and_folder_paths_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    refused(tmp_path / "empty.png", "is empty")
    refused(tmp_path / "nowhere.png", "no such file")
    refused(tmp_path, "is not a file")


def test_tiny_pictures_are_refused(png: Png) -> None:
    refused(png(array=np.zeros((1, 1), np.uint8)), "1×1 pixels; .*32 to 10,000")


def bomb(path: Path, width: int, height: int) -> Path:
    """A PNG of a few bytes whose header promises a huge picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def test_huge_pictures_are_refused_by_their_header(tmp_path: Path) -> None:
    refused(bomb(tmp_path / "wide.png", 20_000, 40), "20000×40 pixels")
    refused(bomb(tmp_path / "many.png", 9_000, 9_000), "9000×9000 pixels; .* 64 megapixels")
    refused(bomb(tmp_path / "bomb.png", 20_000, 20_000), "more than 89 megapixels")
    refused(bomb(tmp_path / "larger.png", 12_000, 9_000), "more than 89 megapixels")


@pytest.mark.parametrize(("value", "look"), [(0, "black"), (255, "white"), (90, "grey")])
def test_constant_pictures_are_refused(png: Png, value: int, look: str) -> None:
    refused(png(array=np.full((50, 50), value, np.uint8)), f"every pixel is the same {look}")


def test_colour_photographs_are_refused(png: Png) -> None:
    rgb = np.dstack([GREY, GREY[::-1], np.full_like(GREY, 40)])
    refused(png("holiday.jpg", rgb), "coloured, as in a photograph")


def test_a_small_coloured_arrow_does_not_make_a_photograph(png: Png) -> None:
    rgb = np.dstack([GREY] * 3)
    rgb[:8, :8] = (255, 0, 0)
    assert read_image(png(array=rgb)).shape == (48, 64)


def test_animated_pictures_are_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.roll(GREY, i, axis=0)) for i in range(3)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    refused(tmp_path / "a.png", "3 frames")


@pytest.mark.data
def test_no_real_radiograph_is_taken_for_a_photograph(
    shared_data: Path,
) -> None:
    collections = ("covid_chestxray/images", "iu_xray/images", "nih14/images")
    paths = [p for folder in collections for p in sorted((shared_data / folder).iterdir())[:40]]
    assert len(paths) >= 80
    for path in paths:
        pixels = read_image(path)
        assert pixels.shape[::-1] == image_size(path)
        assert float(np.ptp(pixels)) > 0.25


DAMAGED_EXIF = (b"junk", b"Exif\0\0junk", b"II*\0\xff\xff\xff\xff", b"MM\0*" + bytes(3), b"")


def with_chunk(path: Path, name: bytes, data: bytes, *, at_end: bool = False) -> Path:
    """The PNG with another chunk behind its header, or before its end."""
    whole = path.read_bytes()
    chunk = struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    place = len(whole) - 12 if at_end else 33
    path.write_bytes(whole[:place] + chunk + whole[place:])
    return path


@pytest.mark.parametrize("exif", DAMAGED_EXIF)
@pytest.mark.parametrize("at_end", [False, True])
def test_damaged_exif_does_not_hide_a_picture(png: Png, exif: bytes, at_end: bool) -> None:
    path = with_chunk(png(), b"eXIf", exif, at_end=at_end)
    np.testing.assert_array_equal(read_image(path), GREY.astype(np.float32) / 255)
    assert image_size(path) == (64, 48)


def channels_of_16_bits(path: Path, values: np.ndarray, kind: int) -> Path:
    """A PNG of 16 bits a channel: grey with alpha (kind 4), colour (2), colour with alpha (6)."""
    opaque = [np.full_like(values, 65_535)] if kind & 4 else []
    pixels = np.stack([values] * (3 if kind & 2 else 1) + opaque, axis=-1).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    high, wide = values.shape
    made = b"\x89PNG\r\n\x1a\n"
    for name, data in (
        (b"IHDR", struct.pack(">IIBBBBB", wide, high, 16, kind, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ):
        made += struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    path.write_bytes(made)
    return path


@pytest.mark.parametrize("kind", [2, 4, 6])
@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_channels_of_16_bits_have_to_use_the_upper_ones(tmp_path: Path, bits: int, kind: int) -> None:
    path = channels_of_16_bits(tmp_path / "a.png", ramp(top=2**bits - 1), kind)
    if bits == 16:
        np.testing.assert_allclose(read_image(path), ramp(top=65_535) / 65_535, atol=0.01)
    else:
        with pytest.raises(ImageError, match="its channels of 16 bits hold values of 14 bits or fewer"):
            read_image(path)
