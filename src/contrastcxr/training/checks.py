"""What training refuses or warns of before it encodes: studies that cannot teach its heads, coarse grids."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from contrastcxr.assemble import Marks
from contrastcxr.config import SystemConfig
from contrastcxr.data.authors import boxed_reading, knows_places
from contrastcxr.errors import IncompatibleError, listed
from contrastcxr.features.targets import Uncertain, finding_targets
from contrastcxr.form import Study
from contrastcxr.models.encoders import Encoder
from contrastcxr.text.sentence_order import has_sentences
from contrastcxr.text.tokenizer import Tokenizer
from contrastcxr.training.report_texts import written_text
from contrastcxr.vocab.attribute_words import AttributeList

logger = logging.getLogger(__name__)

FINE_GRID = 8
"""Rows and columns of patches from which on a localizer says more than a zone of the lung (ours)."""


def check_studies(config: SystemConfig, train: Sequence[Study], validation: Sequence[Study]) -> None:
    """Refuse studies that lack what a head learns or chooses from, and warn of findings that none of them has.

    How many training studies have boxes is said where a head is taught these.

    Raises:
        IncompatibleError: no training study has any of the findings, or a box where boxes are all that is learnt;
            no validation study has a box of one of them; no training report has a sentence to be put in order.
    """
    needs = config.needs
    if config.text.order != "as_written":
        _check_sentences(config, train)
    if needs.findings is not None:
        _check_labels(config, train, labels=needs.finding_names, uncertain=needs.uncertain)
    if needs.boxes:
        _check_boxes(config, validation, labels=needs.study_names)
    taught = needs.taught_boxes
    if taught is not None:
        logger.info(_taught_boxes(config, train, labels=taught.findings or needs.study_names))


def _check_sentences(config: SystemConfig, train: Sequence[Study]) -> None:
    if any(has_sentences(written_text(study, config)) for study in train):
        return
    raise IncompatibleError(
        f"text.order {config.text.order} with data.source {config.data.source}: order on text without sentences: "
        f"no mark ends one in {listed(config.text.sections)} of its {len(train):,} training reports; set "
        "text.order: as_written, or choose data with reports"
    )


def check_vocabulary(config: SystemConfig, tokenizer: Tokenizer | None) -> None:
    """Refuse to order sentences that the vocabulary cannot end; `start_from` refuses a run without one.

    Raises:
        IncompatibleError: `.` is no word of it.
    """
    if config.text.order == "as_written" or tokenizer is None:
        return
    if Marks.of(tokenizer).sentence_end is None:
        made_by = "text.min_count and text.max_words" if config.train.init_from is None else "train.init_from"
        raise IncompatibleError(
            f"text.order {config.text.order} with {made_by}: order on text without sentences: the vocabulary "
            "lacks the full stop, which ends one; change the latter, or set text.order: as_written"
        )


def _check_labels(
    config: SystemConfig, train: Sequence[Study], *, labels: Sequence[str], uncertain: Uncertain
) -> None:
    said, missing = _seen(train, labels, uncertain=uncertain, one_class=config.needs.one_class)
    option, source = _labels_option(config), f"{config.data.source}, {len(train):,} training studies"
    if not said:
        raise IncompatibleError(
            f"{option} with data.source {source}: they say of none of these findings whether it is there; "
            "choose labelled data"
        )
    if len(missing) == len(labels):
        raise IncompatibleError(
            f"{option} with data.source {source}: none of these findings is present in any of them; choose labels "
            "that the data have, or raise data.train_limit"
        )
    if missing:
        logger.warning(
            f"{option} with data.source {source}: none has {listed(missing)}, so what the "
            "model says of that means nothing; choose other labels or raise data.train_limit"
        )


def _labels_option(config: SystemConfig) -> str:
    slot, head = next((slot, head) for slot, head in config.heads.items() if head.needs.findings is not None)
    return f"{slot}.labels {head.needs.findings}"


def _seen(
    studies: Iterable[Study], labels: Sequence[str], *, uncertain: Uncertain, one_class: AttributeList | None
) -> tuple[bool, list[str]]:
    """Return whether anything is known of a label, and the labels that no study has; stop once all were seen."""
    said, missing = False, list(labels)
    for study in studies:
        targets, known = finding_targets(study, missing, uncertain=uncertain, one_class=one_class)
        said = said or bool(known.any())
        missing = [
            name for name, target, there in zip(missing, targets, known, strict=True) if not (there and target > 0)
        ]
        if not missing:
            break
    return said, missing


def _check_boxes(config: SystemConfig, validation: Sequence[Study], *, labels: Sequence[str]) -> None:
    drawn = (boxed_reading(study, labels) for study in validation)
    if any(reading is not None for reading in drawn):
        return
    slot, head = next((slot, head) for slot, head in config.heads.items() if head.needs.boxes)
    raise IncompatibleError(
        f"{slot}.cuts tuned with data.source {config.data.source}: none of its {len(validation):,} validation "
        f"studies has a box of a finding of {head.needs.findings}, on which the cut is chosen; set {slot}.cuts: "
        "fixed, or choose data with boxes, such as phantom:standard"
    )


def _taught_boxes(config: SystemConfig, train: Sequence[Study], *, labels: Sequence[str]) -> str:
    """Return on how many training studies the boxes are that a head is taught, and the findings without any."""
    slot, taught = next((s, t) for s, head in config.heads.items() if (t := head.needs.taught_boxes) is not None)
    studies, found = 0, set()
    for study in train:
        reading = boxed_reading(study, labels)
        if reading is not None:
            studies += 1
            found |= {finding.name for finding in reading.findings if finding.boxes}
    learns_corners = taught is not None and taught.corners
    if not studies and learns_corners:
        raise IncompatibleError(
            f"{slot}.attributes with data.source {config.data.source}: none of its {len(train):,} training "
            f"studies has a box of {listed(labels)}, and boxes are all that it learns; choose data with boxes of "
            "these, such as phantom:standard"
        )
    if not studies:
        return f"{slot}: none of {len(train):,} training studies has a box of a finding; it learns labels alone"
    if learns_corners:
        known = sum(knows_places(study, labels) for study in train)
        return (
            f"{slot}: {studies:,} of {len(train):,} training studies have boxes, {known - studies:,} none of "
            f"these findings; the other {len(train) - known:,} have one that nobody boxed and are left out"
        )
    missing = [name for name in labels if name not in found]
    rest = f"; of {listed(missing)} it learns labels alone" if missing else ""
    return f"{slot}: {studies:,} of {len(train):,} training studies have boxes{rest}"


def warn_of_coarse_grid(config: SystemConfig, encoder: Encoder) -> None:
    """Warn where a localizer has so few patches that its marks are coarse."""
    rows, columns = encoder.stage_grids[0] if config.own_stages else encoder.grid
    if config.localizer is None or encoder.detector is not None or min(rows, columns) >= FINE_GRID:
        return
    logger.warning(
        f"localizer.kind {config.localizer.kind} on a grid of {rows}×{columns} patches of a picture of "
        f"{encoder.image_size} pixels: what it marks is coarse; set encoder.stage to an earlier stage (a smaller "
        "number; null is the last) or a larger image.size"
    )
