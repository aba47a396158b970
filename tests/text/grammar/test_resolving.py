from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

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


def values(*options: object) -> st.SearchStrategy[object]:
    return st.sampled_from((None, *options))


MENTIONS = st.lists(
    st.builds(
        Finding,
        name=st.sampled_from(["Nodule", "Mass"]),
        status=st.sampled_from(["present", "absent", "uncertain", "unmentioned"]),
        side=values("left", "right"),
        zone=values("upper", "lower"),
        severity=values("mild", "severe"),
        sentences=st.integers(0, 9).map(lambda index: (index,)),
    ),
    max_size=7,
)
ATTRIBUTES = ("side", "zone", "severity", "size_mm")


def says_all_of(one: Finding, other: Finding) -> bool:
    return all(getattr(other, name) in (None, getattr(one, name)) for name in ATTRIBUTES)


@given(MENTIONS)
def test_an_account_of_an_account_is_itself(mentions: list[Finding]) -> None:
    once = resolve(mentions)
    assert {finding.status for finding in once} <= {"present", "absent", "uncertain"}
    assert resolve(once) == once


@given(MENTIONS)
def test_names_keep_the_order_of_their_first_mention_and_do_not_touch_each_other(mentions: list[Finding]) -> None:
    names = list(dict.fromkeys(m.name for m in mentions if m.status != "unmentioned"))
    apart = [finding for name in names for finding in resolve(m for m in mentions if m.name == name)]
    assert list(resolve(mentions)) == apart


@given(MENTIONS)
def test_a_denial_is_left_only_where_nothing_is_asserted(mentions: list[Finding]) -> None:
    for name in {mention.name for mention in mentions}:
        own = {m.status for m in mentions if m.name == name} - {"unmentioned"}
        statuses = {f.status for f in resolve(mentions) if f.name == name}
        if own & {"present", "uncertain"}:
            assert "absent" not in statuses
            assert ("present" in statuses) is ("present" in own)
        else:
            assert statuses == own


@given(MENTIONS)
def test_every_assertion_is_told_by_what_is_left_or_outranked_in_severity(mentions: list[Finding]) -> None:
    kept = resolve(mentions)
    for mention in mentions:
        if mention.status != "present":
            continue
        assert any(
            finding.status == "present" and says_all_of(finding, mention.model_copy(update={"severity": None}))
            for finding in kept
            if finding.name == mention.name
        )


@given(MENTIONS)
def test_the_sentences_of_assertions_are_kept_and_none_is_made_up(mentions: list[Finding]) -> None:
    for name in {mention.name for mention in mentions}:
        asserted = [m for m in mentions if m.name == name and m.status in ("present", "uncertain")]
        given_sentences = {index for m in asserted for index in m.sentences}
        kept = [f for f in resolve(mentions) if f.name == name and f.status in ("present", "uncertain")]
        assert {index for f in kept for index in f.sentences} == given_sentences
        assert all(list(f.sentences) == sorted(set(f.sentences)) for f in kept)


def test_a_fuller_mention_takes_the_place_of_those_it_covers() -> None:
    vague = [effusion(side="left"), effusion(severity="mild", sentence=1)]
    (found,) = resolve([*vague, effusion(side="left", severity="mild", sentence=2)])
    assert (found.side, found.severity, found.sentences) == ("left", "mild", (0, 1, 2))
