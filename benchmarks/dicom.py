"""What reading DICOM costs, as three ratios, both sides of each measured in turns in this run.

    python benchmarks/dicom.py [--side 2048] [--repeats 9] [--pictures 24]

(a) From the stored values of a raw object to a 224 tensor (table, turn, checks, resize, normalise), over one fp32
    forward of EfficientNet-Lite0 at batch 1: at most 1 is wanted.
(b) Reading a JPEG-LS file, from its path to pixels in [0, 1], over the plugin's own decoding of the same stream:
    at most 1.3.  Decoding happens in a process of its own, within limits, and that is paid for here.
(c) Pictures a second of two processes over those of one, each from path to tensor: at least 1.8 on two free cores.

Medians; the two sides of (a) and (b) take turns, so that another load on the machine meets both.  Processor time
is printed too, since waiting for a busy machine is no work.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jpeg_ls
import numpy as np
import pydicom
import torch
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import get_frame
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, JPEGLSLossless, generate_uid

from contrastcxr.data.dicom import guarded as guarded_decoder
from contrastcxr.data.dicom.decode import stored_values
from contrastcxr.data.dicom.orientation import turn_of
from contrastcxr.data.dicom.reading import read_pixels
from contrastcxr.data.dicom.values import to_display
from contrastcxr.data.images import MIN_RANGE, check_picture
from contrastcxr.data.transforms import Preprocess
from contrastcxr.features.pictures import whole_picture
from contrastcxr.models.encoders import build_encoder

Work = Callable[[], object]
PREPROCESS = Preprocess()


def write_radiograph(path: Path, side: int) -> Path:
    """A CR of 12 bits: a phantom's grey values with the noise of a detector."""
    from contrastcxr import phantom

    drawn = np.kron(phantom.render(phantom.sample(5), size=side // 4).pixels, np.ones((4, 4)))
    noise = np.random.default_rng(5).normal(0, 12, drawn.shape)
    ds = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality = ComputedRadiographyImageStorage, generate_uid(), "CR"
    ds.PatientOrientation, ds.PhotometricInterpretation, ds.SamplesPerPixel = ["L", "F"], "MONOCHROME2", 1
    ds.Rows, ds.Columns, ds.PixelRepresentation = side, side, 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 12, 11
    ds.WindowCenter, ds.WindowWidth = 2048, 4096
    ds.PixelData = (drawn * 3800 + 150 + noise).clip(0, 4095).astype("<u2").tobytes()
    ds.save_as(path, enforce_file_format=True)
    return path


def compressed(path: Path) -> Path:
    ds = pydicom.dcmread(path)
    ds.compress(JPEGLSLossless, generate_instance_uid=False)
    ds.save_as(path.with_name("jpeg_ls.dcm"))
    return path.with_name("jpeg_ls.dcm")


def processor_seconds() -> float:
    """Processor time of this process and of its worker that decodes."""
    own = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    return own + sum(
        _of_process(each.worker.process.pid) for each in guarded_decoder._DECODERS.values() if each.worker
    )


def _of_process(pid: int) -> float:
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return 0.0
    user, system = stat.read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def in_turns(first: Work, second: Work, repeats: int) -> dict[str, float]:
    """Medians in milliseconds by the clock, mean processor time, and the ratios of the first to the second."""
    clock: tuple[list[float], list[float]] = ([], [])
    processor = [0.0, 0.0]
    first(), second()
    for _ in range(repeats):
        for side, work in enumerate((first, second)):
            spent, started = processor_seconds(), time.perf_counter()
            work()
            clock[side].append(time.perf_counter() - started)
            processor[side] += processor_seconds() - spent
    medians = [1e3 * statistics.median(side) for side in clock]
    return {
        "milliseconds": round(medians[0], 1),
        "compared_with": round(medians[1], 1),
        "ratio": round(medians[0] / medians[1], 2),
        "ratio_of_processor_time": round(processor[0] / processor[1], 2),
    }


def after_decoding(path: Path, repeats: int) -> dict[str, float]:
    ds = pydicom.dcmread(path)
    stored = stored_values(ds, path)
    encoder = build_encoder("tf_efficientnet_lite0", weights="package").eval()
    picture = torch.zeros(1, 3, PREPROCESS.size, PREPROCESS.size)

    def work() -> None:
        shown = to_display(ds, stored, min_range=MIN_RANGE)
        check_picture(shown, "")
        whole_picture(PREPROCESS, turn_of(ds).apply(shown))

    def forward() -> None:
        with torch.inference_mode():
            encoder(picture)

    return in_turns(work, forward, repeats)


def jpeg_ls_reading(path: Path, repeats: int) -> dict[str, float]:
    stream = get_frame(pydicom.dcmread(path).PixelData, 0, number_of_frames=1)
    return in_turns(lambda: read_pixels(path), lambda: jpeg_ls.decode_pixel_data(stream), repeats)


def _read(path: Path) -> int:
    torch.set_num_threads(1)
    return len(whole_picture(PREPROCESS, read_pixels(path))[0])


def two_processes(path: Path, pictures: int) -> dict[str, float]:
    rates = []
    for processes in (1, 2):
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            pool.map(_read, [path] * 2 * processes, chunksize=1)  # started and warm
            started = time.perf_counter()
            pool.map(_read, [path] * pictures, chunksize=1)
            rates.append(pictures / (time.perf_counter() - started))
    return {"one": round(rates[0], 1), "two": round(rates[1], 1), "ratio": round(rates[1] / rates[0], 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--pictures", type=int, default=24)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        raw = write_radiograph(Path(folder) / "raw.dcm", arguments.side)
        found = {
            "side": arguments.side,
            "threads": arguments.threads,
            "load_of_the_machine": round(os.getloadavg()[0], 1),
            "a_after_decoding_over_lite0": after_decoding(raw, arguments.repeats),
            "b_jpeg_ls_over_its_decoder": jpeg_ls_reading(compressed(raw), arguments.repeats),
            "c_two_processes_over_one": two_processes(raw, arguments.pictures),
        }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
