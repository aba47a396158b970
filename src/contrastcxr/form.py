"""The one form: a study, and the reading that a radiologist, a model or a rule makes of it.

The human's and the model's answers have the same type, so that metrics compare two readings and writers print
one without asking who wrote it.  Everything here is frozen and goes to JSON and back without loss (pixels aside).
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

Status = Literal["present", "absent", "uncertain", "unmentioned"]
Side = Literal["left", "right", "bilateral"]
Severity = Literal["minimal", "mild", "moderate", "severe"]
Position = Literal["PA", "AP", "LATERAL", "unknown"]
SCHEMA = "contrastcxr.reading/1"


class _Form(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        serialize_by_alias=True,
        arbitrary_types_allowed=True,
    )


def _ordered(xyxy: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = xyxy
    if not (0 <= x1 < x2 and 0 <= y1 < y2):
        raise ValueError(f"box {xyxy}; a box is [x1, y1, x2, y2] with 0 <= x1 < x2 and 0 <= y1 < y2")
    return xyxy


XYXY = Annotated[tuple[float, float, float, float], AfterValidator(_ordered)]


class Box(_Form):
    """A rectangle `[x1, y1, x2, y2]` in pixels of the original view, x to the right, y down."""

    view: int = Field(0, ge=0, description="index into the study's views")
    xyxy: XYXY
    score: float | None = None


class Point(_Form):
    """A place `[x, y]` in pixels of the original view, x to the right, y down."""

    view: int = Field(0, ge=0, description="index into the study's views")
    xy: tuple[float, float]


class Span(_Form):
    """Characters `[start, end)` of one report section."""

    section: Literal["findings", "impression"] = "findings"
    start: int = Field(ge=0)
    end: int = Field(ge=0)


class Mention(_Form):
    """What one sentence by itself says of a finding, where the finding as a whole says something else."""

    sentence: int = Field(ge=0, description="index into Report.sentences")
    status: Status
    side: Side | None = None
    zone: str | None = None
    severity: Severity | None = None
    size_mm: float | None = Field(None, gt=0)


class Attribute(_Form):
    """A word for what a localizer marks of a finding, such as where it is or what it is like (paper D)."""

    name: str
    probability: float = Field(ge=0, le=1)
    weights: tuple[float, ...] = Field(
        (),
        description="for each of the finding's boxes how much of the word stands in it, of all regions looked at",
    )


class Finding(_Form):
    """What one author says of one finding; a probability only where one was computed."""

    name: str
    status: Status
    probability: float | None = Field(None, ge=0, le=1)
    threshold: float | None = Field(None, ge=0, le=1, description="from which probability it counts as present")
    stated: Status | None = Field(None, description="what the report says of it, where `status` is not only that")
    source: str | None = Field(None, description="what said so: finding head, label table, grammar, labeler …")
    side: Side | None = None
    zone: str | None = None
    severity: Severity | None = Field(None, description="None too where sentences name different ones")
    size_mm: float | None = Field(None, gt=0)
    boxes: tuple[Box, ...] = Field(
        (), description="where it is; of a localizer the components of `region`, for people"
    )
    region: tuple[Box, ...] = Field(
        (), description="rectangles whose union a localizer marked, whatever the status; what is scored"
    )
    peak: Point | None = Field(None, description="where a localizer sees it most strongly")
    attributes: tuple[Attribute, ...] = Field(
        (), description="words for what is marked, of a localizer that knows some, in the order of its list"
    )
    sentences: tuple[int, ...] = Field((), description="indices into Report.sentences")
    mentions: tuple[Mention, ...] = Field((), description="sentences that say something else of it than the above")
    spans: tuple[Span, ...] = ()


class Report(_Form):
    """The sections of a report. `sentences` splits `findings` then `impression`, in reading order."""

    findings: str = ""
    impression: str = ""
    indication: str = ""
    comparison: str = ""
    sentences: tuple[str, ...] = ()


class PoolMatch(_Form):
    """One normal image that the reading was compared with."""

    image_id: str
    weight: float = Field(ge=0, description="share of the attention over the pool")
    locator: str | None = Field(None, description="where its pixels may be had again, if they may be shown")
    source: str | None = None


class Negative(_Form):
    """The one normal image that a view was compared with, place by place."""

    view: int = Field(0, ge=0, description="index into the study's views")
    image_id: str
    similarity: float = Field(ge=-1, le=1, description="cosine of the thumbnails of both")
    locator: str | None = Field(None, description="where its pixels may be had again, if they may be shown")
    source: str | None = None
    note: str | None = Field(None, description="what is unusual of the comparison")


class RepeatMatches(_Form):
    """The pool images that one repeat of Aggregate Attention attended to most, and least (paper A, Figure 3)."""

    closest: tuple[PoolMatch, ...] = ()
    farthest: tuple[PoolMatch, ...] = ()


class Map(_Form):
    """A coarse grid over one view: `rows[y][x]`, covering `extent` in pixels of the original view."""

    view: int = Field(0, ge=0)
    rows: tuple[tuple[float, ...], ...]
    extent: XYXY


class FindingMap(_Form):
    """How strongly a localizer sees one finding at each place of the views."""

    finding: str
    maps: tuple[Map, ...] = Field((), description="one for each view that was read")


class TagShare(_Form):
    """A tag that the topic of a sentence looked at."""

    name: str
    share: float = Field(ge=0, le=1, description="of the topic's attention over the tags")


class PlannedSentence(_Form):
    """What a decoder knew of a sentence before its first word; what does not apply is None or empty."""

    stop: float | None = Field(None, ge=0, le=1, description="probability that the report ends with it")
    abnormal: float | None = Field(None, ge=0, le=1, description="probability that it names an abnormality")
    topic: float | None = Field(
        None, ge=-1, le=1, description="cosine between its topic and the one planned before; None for the first"
    )
    tags: tuple[TagShare, ...] = Field((), description="what its topic looked at most, of the tags of the study")
    score: float | None = Field(None, description="similarity to the image, of a sentence that was retrieved")
    studies: tuple[str, ...] = Field((), description="training studies that a retrieved sentence comes from")


class Tag(_Form):
    """A tag that a decoder predicted of the image and attended to."""

    name: str
    probability: float = Field(ge=0, le=1)


class Evidence(_Form):
    """Why the model said it: the normals compared with, the contrast, the attention of each sentence."""

    closest: tuple[PoolMatch, ...] = Field((), description="by weights averaged over the repeats")
    farthest: tuple[PoolMatch, ...] = Field((), description="by weights averaged over the repeats")
    repeats: tuple[RepeatMatches, ...] = Field((), description="per repeat of Aggregate Attention")
    contrast: tuple[Map, ...] = ()
    difference: tuple[Map, ...] = Field(
        (), description="how much each place of a view weighs by its difference from the negative, 1 on average"
    )
    negatives: tuple[Negative, ...] = Field((), description="what each view was compared with, of difference")
    attention: tuple[tuple[Map, ...], ...] = Field((), description="per sentence of Report.sentences, per view")
    plan: tuple[PlannedSentence, ...] = Field(
        (), description="per sentence of Report.sentences, of a decoder that plans or retrieves"
    )
    tags: tuple[Tag, ...] = Field((), description="most probable first, of a decoder that predicts tags")
    finding_maps: tuple[FindingMap, ...] = Field((), description="per finding that a localizer knows")
    votes: dict[str, float] = Field(
        default_factory=dict,
        description="of a search that votes: the share of the decoder's samples that state each finding present",
    )
    unavailable: dict[str, str] = Field(
        default_factory=dict, description="fields above that this model cannot fill, and why; not those left empty"
    )


class Author(_Form):
    """Who filled in the form."""

    kind: Literal["human", "model", "rule"]
    name: str
    version: str | None = None


class Flag(_Form):
    """Something the reader of the page must know before believing it."""

    kind: Literal["quality", "not_assessed", "disagreement", "orientation", "truncated", "empty"]
    message: str
    finding: str | None = None
    value: float | None = None


class Reading(_Form):
    """Report, findings and evidence of one author on one study."""

    schema_: Literal["contrastcxr.reading/1"] = Field("contrastcxr.reading/1", alias="schema")
    study_id: str
    author: Author
    report: Report = Report()
    findings: tuple[Finding, ...] = ()
    evidence: Evidence = Evidence()
    flags: tuple[Flag, ...] = ()
    provenance: dict[str, Any] = Field(default_factory=dict)

    def finding(self, name: str) -> Finding | None:
        """Return the finding called `name`, or None when the author did not say anything of it."""
        return next((f for f in self.findings if f.name == name), None)

    def present(self) -> frozenset[str]:
        """Return the names of the findings with status present."""
        return frozenset(f.name for f in self.findings if f.status == "present")


class View(_Form):
    """One radiograph: its pixels, or the locator they are read from.

    `locator` is a file path or `phantom:…`. `width` and `height` are the original pixel grid when known.
    `pixels` is `[H, W]` float32 in [0, 1] with bone bright; it never goes to JSON.
    """

    view_id: str
    locator: str | None = None
    pixels: np.ndarray | None = Field(None, exclude=True, repr=False)
    position: Position = "unknown"
    position_source: Literal["stated", "orientation", "predicted"] = "stated"
    width: int | None = Field(None, gt=0)
    height: int | None = Field(None, gt=0)
    spacing_mm: tuple[float, float] | None = Field(None, description="row, column spacing at the detector")
    mirrored: bool | None = Field(None, description="patient's left on the picture's left; None when unknown")
    uid: str | None = None
    doubts: tuple[str, ...] = Field((), description="what its file contradicts itself in, to be said on the page")

    @model_validator(mode="after")
    def _readable(self) -> View:
        if self.locator is None and self.pixels is None:
            raise ValueError(f"view '{self.view_id}' has neither pixels nor a locator")
        return self


class Study(_Form):
    """One visit of one patient: the views, what is known beforehand, and what others said of it."""

    study_id: str
    patient_id: str | None = None
    views: tuple[View, ...] = Field(min_length=1)
    acquired: date | None = None
    age: float | None = Field(None, ge=0, le=130)
    sex: Literal["F", "M"] | None = None
    indication: str = ""
    prior: str | None = Field(None, description="study_id of the previous study")
    readings: tuple[Reading, ...] = ()
    split: str | None = None

    def reading_by(self, name: str) -> Reading | None:
        """Return the reading whose author has this name."""
        return next((r for r in self.readings if r.author.name == name), None)


def reading_schema() -> dict[str, Any]:
    """Return the JSON Schema of `Reading` as written to JSON."""
    return Reading.model_json_schema(by_alias=True, mode="serialization")


def is_file_locator(locator: str) -> bool:
    """Return True unless the locator names a generator such as `phantom:`; a drive letter is not a scheme."""
    return not locator.startswith("phantom:")


def locator_path(locator: str) -> Path:
    """Return the file a locator names."""
    return Path(locator)


def problem_of(error: ValidationError, *, whole: str) -> str:
    """Return the first thing that is wrong, in words: where in the form, what was expected, what was found.

    Args:
        error: what checking a form raised.
        whole: what the form is called where no single field is to blame.
    """
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"]) or whole
    expected = str(first["msg"]).removeprefix("Value error, ")
    found = first["input"]
    if first["type"] == "extra_forbidden":
        return f"{place}: there is no such field"
    if first["type"] in ("missing", "value_error") or not isinstance(found, str | int | float | bool | None):
        return f"{place}: {expected}"
    return f"{place}: {expected}, found {str(found)[:40]!r}"
