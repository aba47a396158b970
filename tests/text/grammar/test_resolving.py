from __future__ import annotations

from contrastcxr.form import Finding
from contrastcxr.text.grammar.resolving import resolve


def effusion(status: str = "present", *, sentence: int = 0, **attributes: object) -> Finding:
    return Finding(name="Pleural Effusion", status=status, sentences=(sentence,), **attributes)  # type: ignore[arg-type]


def test_a_vaguer_repetition_merges_with_the_mention_it_repeats() -> None:
    exact = effusion(side="left", severity="mild")
    merged = exact.model_copy(update={"sentences": (0, 3)})
    assert resolve([exact, effusion(side="left", sentence=3)]) == (merged,)
    assert resolve([effusion(side="left", sentence=3), exact]) == (merged,)


def test_an_assertion_outranks_a_denial_before_or_after_it() -> None:
    there, denied = effusion(side="right"), effusion("absent", sentence=1)
    assert resolve([there, denied]) == resolve([denied, there]) == (there,)


def test_doubt_about_what_is_asserted_merges_with_the_assertion() -> None:
    (found,) = resolve([effusion("uncertain", side="left"), effusion(sentence=1, severity="mild")])
    assert (found.status, found.side, found.severity, found.sentences) == ("present", None, "mild", (0, 1))


def test_doubt_about_the_other_side_stands_beside_the_assertion() -> None:
    found = resolve([effusion(side="left"), effusion("uncertain", side="right", sentence=1)])
    assert [(f.side, f.status) for f in found] == [("left", "present"), ("right", "uncertain")]


def test_of_two_severities_in_one_place_the_first_counts() -> None:
    first, second = effusion(side="left", severity="mild"), effusion(side="left", severity="severe", sentence=1)
    (found,) = resolve([first, second])
    assert found.severity == "mild"


def test_repeated_denials_are_one() -> None:
    (found,) = resolve([effusion("absent"), effusion("absent", sentence=4)])
    assert found.sentences == (0, 4)


def test_resolving_twice_changes_nothing() -> None:
    once = resolve([effusion(side="left"), effusion("uncertain", side="right"), effusion("absent")])
    assert resolve(once) == once


def test_unmentioned_findings_are_dropped() -> None:
    assert resolve([Finding(name="Mass", status="unmentioned")]) == ()
