"""Files that are no radiograph, or are one no longer: pictures and whatever is called one."""

from __future__ import annotations

import numpy as np

from bad_input.case import CHECK, READ, SOME_FAILED, Case
from bad_input.files import (
    binary,
    changed,
    cut,
    frames,
    nothing,
    photograph,
    picture,
    png_bomb,
    png_with_text,
    same,
    text,
)

BLACK, WHITE, GREY = (np.full((48, 64), value, dtype=np.uint8) for value in (0, 255, 128))

PICTURES = (
    Case(
        "a path where nothing is", nothing("absent.png"), READ, SOME_FAILED, "{bad}: no such file; check the path"
    ),
    Case(
        "an empty file",
        binary("empty.png", b""),
        READ,
        SOME_FAILED,
        "{bad}: is empty (0 bytes); copy it again from where it came",
    ),
    Case(
        "words under the name of a picture",
        text("words.jpg", "no picture"),
        READ,
        SOME_FAILED,
        "{bad}: is not a PNG, JPEG or DICOM file, whatever its name says; convert it first",
    ),
    Case(
        "a PDF",
        binary("scan.pdf", b"%PDF-1.7\n" + bytes(200)),
        READ,
        SOME_FAILED,
        "{bad}: is not a PNG, JPEG or DICOM file, whatever its name says; convert it first",
    ),
    Case(
        "a GIF",
        picture("chest.gif"),
        READ,
        SOME_FAILED,
        "{bad}: is not a PNG, JPEG or DICOM file, whatever its name says; convert it first",
    ),
    Case(
        "a folder without a picture",
        same(".", text("notes.txt", "none here")),
        READ,
        SOME_FAILED,
        "{bad}: holds no PNG, JPEG or DICOM file; give the folder of the radiographs",
    ),
    Case(
        "a PNG cut off in its pixels",
        changed(picture(), cut(0.6)),
        READ,
        SOME_FAILED,
        "{bad}: the PNG is truncated or damaged; copy it again from where it came",
    ),
    Case(
        "a PNG cut off in its header",
        changed(picture(), lambda data: data[:20]),
        READ,
        SOME_FAILED,
        "{bad}: the PNG is truncated or damaged; copy it again from where it came",
    ),
    Case(
        "a JPEG cut off",
        changed(picture("chest.jpg"), cut(0.6)),
        READ,
        SOME_FAILED,
        "{bad}: the JPEG is truncated or damaged; copy it again from where it came",
    ),
    Case(
        "a PNG with one byte changed",
        changed(picture(), lambda d: d[:60] + b"!" + d[61:]),
        READ,
        SOME_FAILED,
        "{bad}: the PNG is truncated or damaged; copy it again from where it came",
    ),
    Case(
        "one pixel",
        picture(array=BLACK[:1, :1]),
        READ,
        SOME_FAILED,
        (
            "{bad}: 1×1 pixels; a radiograph with sides of 32 to 10,000 pixels and at most 64 megapixels was "
            "expected; resample it"
        ),
    ),
    Case(
        "20,000 pixels wide",
        picture(array=np.zeros((40, 20_000), np.uint8)),
        READ,
        SOME_FAILED,
        (
            "{bad}: 20000×40 pixels; a radiograph with sides of 32 to 10,000 pixels and at most 64 "
            "megapixels was expected; resample it"
        ),
    ),
    Case(
        "a PNG bomb: 60,000 × 60,000 pixels in 150 bytes",
        png_bomb("bomb.png", 60_000),
        READ,
        SOME_FAILED,
        "{bad}: more than 89 megapixels; a radiograph of at most 64 was expected; resample it",
    ),
    Case(
        "a PNG bomb within the sides",
        png_bomb("bomb.png", 9_000),
        READ,
        SOME_FAILED,
        (
            "{bad}: 9000×9000 pixels; a radiograph with sides of 32 to 10,000 pixels and at most 64 "
            "megapixels was expected; resample it"
        ),
    ),
    Case(
        "a PNG bomb in a comment",
        png_with_text("bomb.png", 100 << 20),
        READ,
        SOME_FAILED,
        "{bad}: the PNG is truncated or damaged; copy it again from where it came",
    ),
    Case(
        "an all-black picture",
        picture(array=BLACK),
        READ,
        SOME_FAILED,
        "{bad}: every pixel is the same black; a radiograph was expected; export it again",
    ),
    Case(
        "an all-white picture",
        picture(array=WHITE),
        READ,
        SOME_FAILED,
        "{bad}: every pixel is the same white; a radiograph was expected; export it again",
    ),
    Case(
        "an evenly grey picture",
        picture(array=GREY),
        READ,
        SOME_FAILED,
        "{bad}: every pixel is the same grey; a radiograph was expected; export it again",
    ),
    Case(
        "a colour photograph",
        picture("cat.jpg", array=photograph()),
        READ,
        SOME_FAILED,
        (
            "{bad}: 95% of its pixels are coloured, as in a photograph; a grey radiograph was expected; "
            "leave it out"
        ),
    ),
    Case(
        "a film: a PNG of two frames",
        picture("film.png", save_all=True, append_images=frames()),
        READ,
        SOME_FAILED,
        "{bad}: holds 2 frames; one radiograph a file was expected; save one of them",
    ),
    Case(
        "an empty file, checked as data",
        binary("empty.png", b""),
        CHECK,
        SOME_FAILED,
        "{bad}: is empty (0 bytes); copy it again from where it came",
    ),
    Case(
        "three bad files in a folder",
        same(".", binary("a.png", b""), text("b.dcm", "no DICOM"), picture("c.png", array=BLACK)),
        READ,
        SOME_FAILED,
        (
            "{bad}/a.png: is empty (0 bytes); copy it again from where it came",
            "{bad}/b.dcm: is not a DICOM image, or is cut off; expected a CR or DX object; copy it again",
            "{bad}/c.png: every pixel is the same black; a radiograph was expected; export it again",
        ),
    ),
)
