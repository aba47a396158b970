"""MIMIC-ABN (Ni et al. 2020): MIMIC-CXR with the abnormal sentences of its reports alone.

Its list is read where there is one (`list=`, an annotation file in R2Gen's shape). Without the list the set is
*derived*: sentences that the package's labeler calls present or uncertain are kept, studies without any are left
out, the split is MIMIC-CXR's. That is another set than the published one (26,946 / 3,801 / 7,804 reports, split by
itself), and says so in its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Literal

from contrastcxr.data.readers import mimic_cxr
from contrastcxr.data.readers.coco_boxed import with_coco
from contrastcxr.data.readers.mimic_cxr import MimicCxr, MimicRoots, roots_of, unit_of
from contrastcxr.data.ref import SourceKind
from contrastcxr.data.source import Inventory, OnMissing, Source, unheard
from contrastcxr.errors import RequestError
from contrastcxr.form import Author, Finding, Reading, Report, Study
from contrastcxr.text.clean import split_sentences
from contrastcxr.text.labeler import default_labeler
from contrastcxr.vocab.labels import NO_FINDING

LISTED = Author(kind="human", name="mimic_abn")
DERIVED = Author(kind="rule", name="mimic_abn derived")


class MimicAbn(Source):
    """The studies of the list, or those of MIMIC-CXR with an abnormal sentence."""

    name = "mimic_abn"
    licence = mimic_cxr.LICENCE

    def __init__(
        self,
        roots: MimicRoots,
        *,
        unit: Literal["study", "image"] = "study",
        images: Literal["there", "any"] = "there",
    ) -> None:
        """Find list, tables and texts; `roots.annotation` is the list.

        Raises:
            RequestError: neither a list nor texts to derive it from.
            DatasetError: a root or a table is not there.
        """
        if not (roots.annotation or roots.reports):
            raise RequestError("mimic_abn needs its list (list=/path) or the texts to derive it (reports=/path)")
        self.derived = roots.annotation is None
        self.name = "mimic_abn (derived)" if self.derived else self.name
        self.author = DERIVED if self.derived else LISTED
        self.images = images
        self._whole = MimicCxr(roots, unit=unit, images=images)
        self.splits = self._whole.splits

    @property
    def missing(self) -> tuple[str, ...]:
        """Where images and texts would be that the tables or the list name."""
        return self._whole.missing

    def inventory(self) -> Inventory:
        """Count what the tables or the list name; a derived set counts all of MIMIC-CXR, of which it is a part."""
        held = self._whole.inventory()
        if not self.derived:
            return held
        note = "derived by the labeler; not the published list, and not its split"
        return replace(held, notes=(note, *held.notes))

    def stream(self, split: str | None = None, *, on_missing: OnMissing = unheard) -> Iterator[Study]:
        """Yield the studies of one split, or all, one by one, and tell what they lack."""
        for study in self._whole.stream(split, on_missing=on_missing):
            cut = self._cut(study)
            if cut is not None:
                yield cut

    def _load(self, split: str | None) -> Iterable[Study]:
        return self.stream(split)

    def _cut(self, study: Study) -> Study | None:
        """Return the study with the abnormal part of its report, None where there is none."""
        whole = study.reading_by(mimic_cxr.RADIOLOGIST.name)
        if whole is None:
            return None
        text = abnormal_part(whole.report) if self.derived else whole.report
        if not text.findings:
            return None
        kept = Reading(study_id=study.study_id, author=self.author, report=text)
        others = (reading for reading in study.readings if reading is not whole)
        return study.model_copy(update={"readings": (kept, *others)})


def abnormal_part(report: Report) -> Report:
    """Return the report with only those sentences of findings and impression that the labeler calls abnormal."""
    findings, impression = (abnormal(split_sentences(text)) for text in (report.findings, report.impression))
    return report.model_copy(
        update={
            "findings": " ".join(findings),
            "impression": " ".join(impression),
            "sentences": (*findings, *impression),
        }
    )


def abnormal(sentences: Sequence[str]) -> tuple[str, ...]:
    """Return the sentences that say of a finding that it is present or uncertain."""
    labeler = default_labeler()
    return tuple(sentence for sentence in sentences if any(_abnormal(f) for f in labeler.label(sentence)))


def _abnormal(finding: Finding) -> bool:
    return finding.name != NO_FINDING and finding.status in ("present", "uncertain")


KIND = with_coco(
    SourceKind(
        MimicAbn,
        open=lambda ref: MimicAbn(roots_of(ref, "list"), unit=unit_of(ref), images=ref.images),
        summary="MIMIC-ABN: the abnormal sentences of MIMIC-CXR's reports, from its list or derived",
        splits=mimic_cxr.SPLITS,
        options=("reports", "tables", "list", "unit"),
    )
)
