from __future__ import annotations

from contrastcxr.form import Report
from contrastcxr.text.sections import report, split_sections

MIMIC = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  ___-year-old woman with cough  // evaluate for infection

 TECHNIQUE:  Chest PA and lateral

 COMPARISON:  ___

 FINDINGS:

 There is no focal consolidation.  A nodule of 1.2 cm is
 seen.

 Clips project over the left lung.

 IMPRESSION:

 1.  No acute process.
 2.  Nodule.
"""


def test_a_mimic_report_falls_into_its_sections() -> None:
    found = split_sections(MIMIC)
    assert found.findings == (
        "There is no focal consolidation. A nodule of 1.2 cm is seen. Clips project over the left lung."
    )
    assert found.impression == "No acute process. Nodule."
    assert found.indication.startswith("___-year-old woman with cough")
    assert found.comparison == "___"
    assert found.sentences[-2:] == ("No acute process.", "Nodule.")
    assert len(found.sentences) == 5


def test_free_text_after_short_sections_is_the_findings() -> None:
    raw = "FINAL REPORT\n PORTABLE CHEST, ___\n\n HISTORY: Cough.\n\n COMPARISON: None.\n\n The lungs are clear.\n"
    found = split_sections(raw)
    assert (found.findings, found.indication, found.comparison) == ("The lungs are clear.", "Cough.", "")


def test_text_under_a_chest_heading_is_the_findings() -> None:
    raw = "HISTORY: Pain.\n\nCHEST, PA AND LATERAL: Heart is normal.\n\nIMPRESSION: Normal."
    found = split_sections(raw)
    assert (found.findings, found.impression) == ("Heart is normal.", "Normal.")


def test_text_without_headings_is_the_findings() -> None:
    assert split_sections("Clear lungs. Mass of 2.5 x 3 cm.").findings == "Clear lungs. Mass of 2.5 x 3 cm."


def test_headings_inside_a_line_count_in_capitals_only() -> None:
    raw = "INDICATION: cough. FINDINGS: Clear lungs, impression: of a line. IMPRESSION: Normal."
    found = split_sections(raw)
    assert found.findings == "Clear lungs, impression: of a line."
    assert (found.indication, found.impression) == ("cough.", "Normal.")


def test_a_heading_at_a_line_start_counts_in_any_case() -> None:
    found = split_sections("Findings: Clear lungs.\nImpression: Normal.")
    assert (found.findings, found.impression) == ("Clear lungs.", "Normal.")


def test_an_impression_alone_leaves_the_findings_empty() -> None:
    found = split_sections("IMPRESSION: No acute process.")
    assert (found.findings, found.impression) == ("", "No acute process.")


def test_a_joint_section_is_findings() -> None:
    found = split_sections("FINDINGS AND IMPRESSION: Clear lungs.")
    assert (found.findings, found.impression) == ("Clear lungs.", "")


def test_parts_of_findings_under_their_own_names_stay_in_them() -> None:
    found = split_sections("FINDINGS:\n\nLUNGS: Clear.\n\nHEART: Normal.\n")
    assert found.findings == "LUNGS: Clear. HEART: Normal."


def test_an_empty_report_is_an_empty_report() -> None:
    assert split_sections("") == split_sections("  \n ") == Report()


def test_sections_come_back_from_their_own_text() -> None:
    first = split_sections(MIMIC)
    raw = f"INDICATION: {first.indication}\n\nFINDINGS: {first.findings}\n\nIMPRESSION: {first.impression}"
    assert split_sections(raw).sentences == first.sentences


def test_sections_from_columns_are_cleaned_and_split() -> None:
    made = report(findings="Clear lungs ,no effusion.", impression="1. Normal.", comparison="None.")
    assert made.sentences == ("Clear lungs, no effusion.", "Normal.")
    assert made.comparison == ""
