"""Every source of studies by name."""

from __future__ import annotations

from collections.abc import Mapping

from contrastcxr.data.readers import (
    chexpert,
    covid,
    iu_xray,
    manifest,
    mimic_abn,
    mimic_cxr,
    nih14,
    nih14_boxes,
    nih14_cv,
    nih_plain,
    paths,
    phantom,
    rsna,
    vindr,
)
from contrastcxr.data.ref import DataRef, SourceKind, parse_ref

SOURCES: Mapping[str, SourceKind] = {
    "phantom": phantom.KIND,
    "nih14": nih14.KIND,
    "nih14-cv": nih14_cv.KIND,
    "nih14-boxes": nih14_boxes.KIND,
    "nih-plain": nih_plain.KIND,
    "iu_xray": iu_xray.KIND,
    "chexpert": chexpert.KIND,
    "covid": covid.KIND,
    "rsna": rsna.KIND,
    "vindr": vindr.KIND,
    "mimic_cxr": mimic_cxr.KIND,
    "mimic_abn": mimic_abn.KIND,
    "manifest": manifest.KIND,
    "paths": paths.KIND,
}


def describe_sources() -> list[dict[str, str]]:
    """Return what each source is, its splits, options, parameters and terms, in words."""
    return [
        {
            "name": f"{name}:<{kind.root}>",
            "what": kind.summary,
            "splits": " ".join(kind.splits) or "none",
            "options": " ".join(f",{option}=…" for option in kind.options),
            "parameters": " ".join(f"?{param}=…" for param in kind.params),
            "licence": kind.licence.terms,
            "redistributable": "yes" if kind.licence.redistributable else "no",
            "where": kind.licence.where,
        }
        for name, kind in SOURCES.items()
    ]


def parse_data(text: str) -> DataRef:
    """Parse a data name as a person writes it.

    Raises:
        UnknownNameError: a source, option or parameter that is not known; names the nearest.
        RequestError: no root, or an option that is not known.
    """
    return parse_ref(text, SOURCES)
