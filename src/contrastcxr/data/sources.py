"""Every source of studies by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Literal

from contrastcxr.data.inputs import studies_from_paths
from contrastcxr.data.readers import (
    chexpert,
    covid,
    iu_xray,
    manifest,
    mimic_abn,
    mimic_cxr,
    nih14,
    nih14_cv,
    nih_plain,
    phantom,
    rsna,
    vindr,
)
from contrastcxr.data.source import OnMissing, Source, unheard
from contrastcxr.data.spec import DataSpec, SourceKind, taken_apart
from contrastcxr.errors import DatasetError, UnknownNameError
from contrastcxr.form import Study

__all__ = [
    "SOURCES",
    "DataSpec",
    "Paths",
    "SourceKind",
    "load_studies",
    "open_source",
    "parse_spec",
    "stream_studies",
]


class Paths(Source):
    """Radiographs under a path, without splits; what cannot be read counts as missing."""

    name = "paths"
    licence = manifest.LICENCE
    splits = ()

    def __init__(self, path: Path) -> None:
        self.path = path
        self._found, failures = studies_from_paths([path])
        self._failures = tuple(failure.message for failure in failures)
        if not self._found:
            more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
            raise DatasetError(f"{failures[0].message}{more}")

    @property
    def missing(self) -> tuple[str, ...]:
        """One line for every input that could not be read."""
        return self._failures

    def _load(self) -> Iterable[Study]:
        return self._found


def _phantom(spec: DataSpec) -> Source:
    if spec.root not in phantom.LEVELS:
        raise UnknownNameError("phantom level", spec.root, phantom.LEVELS)
    limit = spec.integer("limit", 0) or None
    return phantom.Phantoms(spec.root, seed=spec.integer("seed", 0), limit=limit)


def _nih14(spec: DataSpec) -> Source:
    return nih14.Nih14(_path(spec))


def _nih_plain(spec: DataSpec) -> Source:
    return nih_plain.NihPlain(_path(spec), seed=spec.integer("seed", 0))


def _nih14_cv(spec: DataSpec) -> Source:
    plain = spec.choice("report", ("none", "plain"), "none") == "plain"
    return nih14_cv.Nih14Folds(
        _path(spec), fold=spec.integer("fold", 0), plain_reports=plain, seed=spec.integer("seed", 0)
    )


def _iu_xray(spec: DataSpec) -> Source:
    layout = spec.options.get("layout")
    return iu_xray.IuXray(
        spec.root,
        layout=iu_xray.layout_named(layout) if layout else None,
        annotation=_option_path(spec, "annotation"),
        pictures=_option_path(spec, "pictures"),
        images=_images(spec),
    )


def _chexpert(spec: DataSpec) -> Source:
    return chexpert.CheXpert(_path(spec), images=_images(spec))


def _covid(spec: DataSpec) -> Source:
    return covid.Covid(_path(spec), images=_images(spec), masks=spec.options.get("masks"))


def _rsna(spec: DataSpec) -> Source:
    return rsna.Rsna(
        _path(spec),
        images=_images(spec),
        headers=spec.options.get("headers"),
        mapping=_option_path(spec, "mapping"),
    )


def _vindr(spec: DataSpec) -> Source:
    own = spec.choice("boxes", ("original", "file"), "original") == "file"
    return vindr.VinDr(_path(spec), images=_images(spec), boxes="file" if own else "original")


def _mimic_cxr(spec: DataSpec) -> Source:
    findings = _option(spec, "subset", ("all", "findings")) == "findings"
    return mimic_cxr.MimicCxr(
        _mimic_roots(spec, "annotation"),
        subset="findings" if findings else "all",
        unit=_unit(spec),
        images=_images(spec),
    )


def _mimic_abn(spec: DataSpec) -> Source:
    return mimic_abn.MimicAbn(_mimic_roots(spec, "list"), unit=_unit(spec), images=_images(spec))


def _mimic_roots(spec: DataSpec, annotation: str) -> mimic_cxr.MimicRoots:
    reports, tables, listed = (_option_path(spec, name) for name in ("reports", "tables", annotation))
    return mimic_cxr.MimicRoots(_path(spec), reports=reports, tables=tables, annotation=listed)


def _unit(spec: DataSpec) -> Literal["study", "image"]:
    return "image" if _option(spec, "unit", ("study", "image")) == "image" else "study"


def _manifest(spec: DataSpec) -> Source:
    return manifest.Manifest(_path(spec), images=_images(spec))


def _paths(spec: DataSpec) -> Source:
    path = _path(spec)
    return manifest.Manifest(path) if path.suffix.lower() in manifest.SUFFIXES else Paths(path)


SOURCES: Mapping[str, SourceKind] = {
    "phantom": SourceKind(
        open=_phantom,
        summary="synthetic chests with exact truth, drawn from seeds",
        root="level",
        splits=phantom.SPLITS,
        params=("seed", "limit"),
        licence=phantom.LICENCE,
    ),
    "nih14": SourceKind(
        open=_nih14,
        summary="NIH ChestX-ray14: labels, NIH boxes and RSNA boxes, in its published split",
        root="folder",
        splits=("train_val", "test"),
        params=("limit",),
        licence=nih14.LICENCE,
    ),
    "nih14-cv": SourceKind(
        open=_nih14_cv,
        summary="five patient-grouped folds of the NIH training list",
        root="folder",
        splits=nih14_cv.Nih14Folds.splits,
        params=("fold", "report", "seed", "limit"),
        licence=nih14.LICENCE,
    ),
    "nih-plain": SourceKind(
        open=_nih_plain,
        summary="NIH images with reports that the grammar wrote from their labels",
        root="folder",
        splits=("train_val", "test"),
        params=("seed", "limit"),
        licence=nih_plain.PLAIN_LICENCE,
    ),
    "iu_xray": SourceKind(
        open=_iu_xray,
        summary="IU X-ray: reports, MeSH terms; Open-i XML, Kaggle's or R2Gen's tables, torchxrayvision",
        root="folder",
        splits=iu_xray.SPLITS,
        params=("images", "limit"),
        options=("layout", "annotation", "pictures"),
        licence=iu_xray.LICENCE,
    ),
    "chexpert": SourceKind(
        open=_chexpert,
        summary="CheXpert: labels of its labeler for training, of radiologists for validation and test",
        root="folder",
        splits=chexpert.SPLITS,
        params=("images", "limit"),
        licence=chexpert.LICENCE,
        split_folders=True,
    ),
    "covid": SourceKind(
        open=_covid,
        summary="COVID-19 image collection: diagnoses, clinical notes, severity, lung boxes and masks",
        root="folder",
        splits=(),
        params=("images", "limit"),
        options=("masks",),
        licence=covid.LICENCE,
    ),
    "rsna": SourceKind(
        open=_rsna,
        summary="RSNA pneumonia challenge: boxes of opacities, with NIH patients where the match is there",
        root="folder",
        splits=rsna.SPLITS,
        params=("images", "limit"),
        options=("headers", "mapping"),
        licence=rsna.LICENCE,
    ),
    "vindr": SourceKind(
        open=_vindr,
        summary="VinDr-CXR: boxes and labels, every radiologist an author",
        root="folder",
        splits=vindr.SPLITS,
        params=("images", "boxes", "limit"),
        licence=vindr.LICENCE,
        split_folders=True,
    ),
    "mimic_cxr": SourceKind(
        open=_mimic_cxr,
        summary="MIMIC-CXR, JPEG or DICOM: texts, official split, CheXpert and NegBio labels, prior studies",
        root="folder",
        splits=mimic_cxr.SPLITS,
        params=("images", "limit"),
        options=("reports", "tables", "annotation", "subset", "unit"),
        licence=mimic_cxr.LICENCE,
    ),
    "mimic_abn": SourceKind(
        open=_mimic_abn,
        summary="MIMIC-ABN: the abnormal sentences of MIMIC-CXR's reports, from its list or derived",
        root="folder",
        splits=mimic_cxr.SPLITS,
        params=("images", "limit"),
        options=("reports", "tables", "list", "unit"),
        licence=mimic_cxr.LICENCE,
    ),
    "manifest": SourceKind(
        open=_manifest,
        summary="your own studies, as JSON lines, CSV or Parquet; splits as its rows state them",
        root="file",
        splits=("train", "train_val", "validation", "test"),
        params=("images", "limit"),
        licence=manifest.LICENCE,
    ),
    "paths": SourceKind(
        open=_paths,
        summary="DICOM, PNG and JPEG files, or folders of them",
        root="path",
        splits=(),
        params=("limit",),
        licence=manifest.LICENCE,
    ),
}


def open_source(text: str) -> Source:
    """Return the source that the text names, without a split chosen.

    Raises:
        UnknownNameError: a name, option or parameter that is not known; names the nearest.
        DatasetError: the data is not there or departs from its layout.
    """
    spec = parse_spec(text)
    return SOURCES[spec.name].open(spec)


def without_pictures(text: str) -> str | None:
    """The same data with the studies whose pictures are absent; None where the source cannot, or was told."""
    spec = parse_spec(text)
    if "images" not in SOURCES[spec.name].params or "images" in spec.params:
        return None
    return f"{text}{'&' if spec.params else '?'}images=any"


def load_studies(text: str) -> list[Study]:
    """Return the studies that the text names: those of its split, or all of the source.

    `limit=n` keeps the first n.

    Raises:
        UnknownNameError: a name, split, option or parameter that is not known; names the nearest.
        DatasetError: the data is not there or departs from its layout.
    """
    spec = parse_spec(text)
    source = SOURCES[spec.name].open(spec)
    studies = source.studies(spec.split)
    if not studies and source.missing:
        hint = ", or ask for ?images=any" if "images" in SOURCES[spec.name].params else ""
        raise DatasetError(
            f"{text}: none of {len(source.missing):,} images is there, such as {source.missing[0]}; "
            f"put them there{hint}"
        )
    return studies[: spec.integer("limit", 0) or None]


def stream_studies(text: str, *, on_missing: OnMissing = unheard) -> Iterator[Study]:
    """Yield what `load_studies` returns, one study at a time.

    Args:
        text: the source, its split and its parameters.
        on_missing: takes the name of each picture that is not there.

    Raises:
        UnknownNameError: a name, split, option or parameter that is not known; names the nearest.
        DatasetError: the data is not there or departs from its layout.
    """
    spec = parse_spec(text)
    stream = SOURCES[spec.name].open(spec).stream(spec.split, on_missing=on_missing)
    return islice(stream, spec.integer("limit", 0) or None)


def parse_spec(text: str) -> DataSpec:
    """Take apart the text of a source.

    Raises:
        UnknownNameError: a name, option or parameter that is not known; names the nearest.
    """
    return taken_apart(text, SOURCES)


def _path(spec: DataSpec) -> Path:
    return Path(spec.root).expanduser()


def _option_path(spec: DataSpec, name: str) -> Path | None:
    return Path(spec.options[name]).expanduser() if name in spec.options else None


def _images(spec: DataSpec) -> Literal["there", "any"]:
    return "any" if spec.choice("images", ("there", "any"), "there") == "any" else "there"


def _option(spec: DataSpec, name: str, known: tuple[str, ...]) -> str:
    """The value of an option that allows only these; the first is the usual one."""
    value = spec.options.get(name, known[0])
    if value not in known:
        raise UnknownNameError(f"{name} of {spec.name}", value, known)
    return value
