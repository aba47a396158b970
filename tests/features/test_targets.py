"""Targets, normality and reports: what a study's readings say of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrastcxr.data.authors import as_one, is_normal, label_reading
from contrastcxr.features.targets import (
    Uncertain,
    abnormal_sentences,
    finding_targets,
    indexing_terms,
    indication_ids,
    names_abnormality,
    sentence_ids,
    tag_targets,
)
from contrastcxr.form import Author, Finding, Reading, Report, Status, Study, View
from contrastcxr.text.labeler import Labeler
from contrastcxr.text.tokenizer import Tokenizer
from contrastcxr.vocab.attribute_words import AttributeList, attribute_list
from contrastcxr.vocab.labels import CHEXPERT, NIH14, PHANTOM


def reading(author: str, report: str = "", **statuses: Status) -> Reading:
    findings = tuple(Finding(name=n.replace("_", " "), status=s) for n, s in statuses.items())
    kind = "human" if author in ("rsna", "manifest") else "rule"
    return Reading(
        study_id="s", author=Author(kind=kind, name=author), findings=findings, report=Report(findings=report)
    )


def study(*readings: Reading) -> Study:
    return Study(study_id="s", views=(View(view_id="v", locator="v.png"),), readings=readings)


def targets(asked: Study, *labels: str) -> list[float | None]:
    values, known = finding_targets(asked, labels)
    return [float(v) if k else None for v, k in zip(values, known, strict=True)]


def test_nih_labels_that_are_not_listed_count_as_absent() -> None:
    asked = study(reading("nih14 labels", Mass="present"))
    assert targets(asked, "Mass", "Nodule", "Fracture") == [1, 0, None]
    values, known = finding_targets(asked, NIH14)
    assert (float(values.sum()), bool(known.all())) == (1, True)


def test_uncertain_is_unknown_and_never_a_half() -> None:
    asked = study(reading("phantom truth", Mass="uncertain", Nodule="absent", Hernia="unmentioned"))
    assert targets(asked, "Mass", "Nodule", "Hernia") == [None, 0, 0]


def test_other_authors_are_known_only_by_what_they_mention() -> None:
    asked = study(reading("manifest", Mass="present", Edema="absent", Hernia="unmentioned"))
    assert targets(asked, "Mass", "Edema", "Hernia", "Nodule") == [1, 0, None, None]


def test_a_normal_study_denies_every_finding_but_devices() -> None:
    asked = study(reading("manifest", No_Finding="present"))
    assert targets(asked, "Edema", "Support Devices", "No Finding") == [0, None, 1]


def test_names_that_chexpert_merges_count_under_its_name() -> None:
    asked = study(reading("nih14 labels", Nodule="present", Fibrosis="present"))
    wanted = ("Lung Lesion", "Lung Opacity", "Edema", "Fracture")
    assert targets(asked, *wanted) == [1, 1, 0, None]
    assert finding_targets(asked, CHEXPERT)[0].shape == (14,)


def test_labels_are_believed_before_the_report_written_from_them() -> None:
    labels = reading("nih14 labels", Mass="present")
    given = study(reading("nih-plain", "A mass.", Mass="present", Edema="absent"), labels)
    assert label_reading(given) == labels


def test_a_study_that_nobody_read_has_no_labels_or_targets() -> None:
    assert label_reading(study()) is None
    assert targets(study(), "Mass") == [None]


NORMAL = reading("nih14 labels", No_Finding="present")


@pytest.mark.parametrize(
    ("readings", "normal"),
    [
        ([NORMAL], True),
        ([NORMAL, reading("rsna", No_Finding="present", Pneumonia="absent")], True),
        ([NORMAL, reading("rsna", No_Finding="absent", Pneumonia="absent")], False),
        ([reading("nih14 labels", Mass="present")], False),
        ([reading("phantom truth", Mass="absent", Nodule="absent")], True),
        ([reading("phantom truth", Mass="uncertain")], False),
        ([reading("manifest", No_Finding="present", Support_Devices="present")], True),
        ([reading("manifest", Mass="absent")], False),
        ([reading("manifest", No_Finding="present", Mass="uncertain")], False),
        ([], False),
    ],
)
def test_normal_is_what_may_stand_in_a_pool(readings: list[Reading], normal: bool) -> None:
    assert is_normal(study(*readings)) is normal


COUNTS = {"ignore": {}, "ones": {"uncertain": 1.0}, "zeros": {"uncertain": 0.0}}
STATUSES: tuple[Status, ...] = ("present", "absent", "uncertain", "unmentioned")
AUTHORS = ("nih14 labels", "phantom truth", "manifest")


@given(
    author=st.sampled_from(AUTHORS),
    statuses=st.dictionaries(st.sampled_from(NIH14), st.sampled_from(STATUSES)),
    policy=st.sampled_from(tuple(COUNTS)),
)
def test_targets_are_what_a_plain_loop_over_the_rules_gives(
    author: str, statuses: dict[str, Status], policy: Uncertain
) -> None:
    given_study = study(reading(author, **{name.replace(" ", "_"): s for name, s in statuses.items()}))
    complete = {"nih14 labels": NIH14, "phantom truth": PHANTOM, "manifest": ()}[author]
    values, known = finding_targets(given_study, NIH14, uncertain=policy)
    for place, name in enumerate(NIH14):
        status = statuses.get(name, "unmentioned")
        expected = {"present": 1.0, "absent": 0.0, **COUNTS[policy]}.get(status)
        if status == "unmentioned" and name in complete:
            expected = 0.0
        assert bool(known[place]) == (expected is not None), name
        assert float(values[place]) == (expected or 0.0), name


def test_among_several_names_of_one_label_present_outranks_doubt_and_doubt_outranks_denial() -> None:
    def lesion(**statuses: Status) -> list[float | None]:
        return targets(study(reading("manifest", **statuses)), "Lung Lesion")

    assert lesion(Nodule="uncertain", Mass="present") == [1]
    assert lesion(Nodule="uncertain", Mass="absent") == [None]
    assert lesion(Nodule="absent", Mass="absent") == [0]


OPACITY, PNEUMONIA = attribute_list("phantom-opacity"), attribute_list("pneumonia")


def opacity(
    *readings: Reading, one_class: AttributeList = OPACITY, uncertain: Uncertain = "ignore"
) -> float | None:
    values, known = finding_targets(study(*readings), ("Lung Opacity",), uncertain=uncertain, one_class=one_class)
    assert values.shape == known.shape == (1,)
    return float(values[0]) if known[0] else None


def test_findings_of_a_list_are_one_label() -> None:
    assert opacity(reading("manifest", Nodule="absent", Mass="present")) == 1
    assert opacity(reading("manifest", Nodule="absent", Mass="uncertain")) is None
    assert opacity(reading("manifest", Nodule="absent", Mass="uncertain"), uncertain="ones") == 1
    assert opacity(reading("manifest", Nodule="absent", Mass="uncertain"), uncertain="zeros") == 0
    assert opacity(reading("manifest", Nodule="absent", Mass="unmentioned")) == 0
    assert opacity(reading("manifest", Pneumothorax="present")) is None
    assert opacity(reading("manifest", No_Finding="present")) == 0
    assert opacity(reading("phantom truth", Pneumothorax="present")) == 0
    assert opacity(reading("phantom truth", Edema="present")) == 1
    assert opacity() is None


def test_a_list_counts_its_findings_under_their_own_names_alone() -> None:
    """Fibrosis is CheXpert's Lung Opacity, which the list has, and no pneumonia; scores count the same."""
    fibrosis = reading("nih14 labels", Fibrosis="present")
    assert opacity(fibrosis, one_class=PNEUMONIA) == 0
    assert as_one(fibrosis, PNEUMONIA).findings == ()
    assert targets(study(fibrosis), "Lung Opacity") == [1]
    assert opacity(reading("nih14 labels", Infiltration="present"), one_class=PNEUMONIA) == 1


def test_tags_count_what_is_unknown_as_not_there() -> None:
    given_study = study(reading("manifest", Mass="present", Edema="absent"))
    assert tag_targets(given_study, ("Mass", "Edema", "Hernia")).tolist() == [1, 0, 0]


def test_indexing_terms_are_headings_in_lower_case_of_every_reading() -> None:
    terms = ({"mesh": ["Pleural  Effusion/left/small", "Cicatrix"]}, {"mesh": ["cicatrix/lung"]}, {})
    readings = [reading("manifest").model_copy(update={"provenance": one}) for one in terms]
    assert indexing_terms(study(*readings)) == {"pleural effusion", "cicatrix"}
    assert indexing_terms(study()) == set()


TOKENIZER = Tokenizer.train(["The lungs are clear. There is an effusion, large. No edema"], min_count=1)


@given(st.lists(st.sampled_from(["lungs are clear .", "effusion , large .", "."]), max_size=4), st.booleans())
def test_sentences_of_ids_are_cut_behind_each_full_stop(sentences: list[str], ragged: bool) -> None:
    text = " ".join([*sentences, *(["no edema"] if ragged else [])])
    ids = [TOKENIZER.special.bos, *map(TOKENIZER.id_of, text.split()), TOKENIZER.special.eos]
    found = sentence_ids(ids, TOKENIZER)
    assert [i for one in found for i in one] == ids[1:-1]
    assert len(found) == len(sentences) + ragged
    assert all(TOKENIZER.id_of(".") not in one[:-1] and one for one in found)


def test_an_abnormal_sentence_names_something_present_or_doubtful() -> None:
    labeler = Labeler()
    assert names_abnormality("There is a large pleural effusion.", labeler)
    assert names_abnormality("A small effusion is possible.", labeler)
    assert not names_abnormality("No pleural effusion.", labeler)
    assert not names_abnormality("Normal chest.", labeler)
    ids = TOKENIZER.encode("The lungs are clear. There is an effusion, large. No edema")
    assert abnormal_sentences(ids, TOKENIZER, labeler).tolist() == [False, True, False]
    assert abnormal_sentences(ids[:1] + ids[-1:], TOKENIZER, labeler).shape == (0,)


def test_an_indication_is_its_first_forty_words_without_begin_and_end() -> None:
    asked = study().model_copy(update={"indication": "edema " * 60})
    assert indication_ids(asked, TOKENIZER).tolist() == [TOKENIZER.id_of("edema")] * 40
    assert indication_ids(study(), TOKENIZER).tolist() == []
