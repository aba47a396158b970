"""Made the compressed ramps of this folder, for which the encoders are no dependency of the project.

python -m pip install imagecodecs && python make.py

High-Throughput JPEG 2000 comes from OpenJPH, JPEG with 12 bits (process 2 and 4) from libjpeg-turbo, both in
imagecodecs 2026.3.6. The picture is `ramp(top=4095)` of radiograph_files.py.
"""

from pathlib import Path

import imagecodecs
import numpy as np

FOLDER = Path(__file__).parent


def main() -> None:
    y, x = np.mgrid[:48, :64]
    ramp = ((2 * x / 63 + y / 47) / 3 * 4095).astype(np.uint16)
    streams = {
        "ht_lossless.j2c": imagecodecs.htj2k_encode(ramp, reversible=True),
        "ht_lossy.j2c": imagecodecs.htj2k_encode(ramp, level=0.0002, reversible=False),
        "extended_12_bits.jpg": imagecodecs.jpeg8_encode(ramp, level=95, bitspersample=12),
    }
    for name, stream in streams.items():
        (FOLDER / name).write_bytes(stream)


if __name__ == "__main__":
    main()
