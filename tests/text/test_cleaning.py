from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrastcxr.text.clean import clean, join, split_sentences, split_words


@pytest.mark.parametrize(
    "text",
    [
        "A nodule of 1.2 cm.",
        "A mass of 2.5 x 3 cm in the right lung.",
        "A mass of 2.5x3cm.",
        "Compression of T12 and L1-L2.",
        "Opacity of .5 cm, i.e. small.",
        "Seen at 10:30 a.m. by the team.",
        "Grade 1.",
        "A nodule of 2.1. The heart is normal.",
        "A ratio of 10:1. The heart is normal.",
        "Fracture of ribs 5, 6 and 7.",
        "About 3/4 of the lung, 50% of its height.",
        "Tube 4.5 cm above the carina (unchanged).",
        "Left-sided effusion, the patient's third.",
        "Nodule in segment 3. Lungs are otherwise clear.",
        "XXXX-year-old with ___ and XXXX.",
    ],
)
def test_canonical_text_with_numbers_is_left_alone(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("1. No effusion. 2. Nodule of 1.2 cm. 3. Old fracture.", "No effusion. Nodule of 1.2 cm. Old fracture."),
        ("1) Clear lungs.\n2) No effusion.", "Clear lungs. No effusion."),
        ("1.Clear lungs. 2.No effusion.", "Clear lungs. No effusion."),
        ("IMPRESSION: 1. Clear.", "IMPRESSION: Clear."),
        ("No change since 5. 7. Something", "No change since 5. 7. Something"),
        ("Clear lungs ,no effusion .", "Clear lungs, no effusion."),
        ("The  heart\n is   normal..", "The heart is normal."),
        ("effusion.No pneumothorax", "effusion. No pneumothorax"),
        ("“Clear” lungs – it’s normal", "Clear lungs - it's normal"),
        ("opacity &gt; 3 cm<BR>seen", "opacity > 3 cm seen"),
        ("seen by Dr. ____ today", "seen by Dr. ___ today"),
        ("scarring / atelectasis", "scarring/atelectasis"),
        ("", ""),
    ],
)
def test_spacing_lists_quotes_and_masks_become_canonical(raw: str, cleaned: str) -> None:
    assert clean(raw) == cleaned


@given(st.text(alphabet="aB1 2.,;:/()-'x_%\n", max_size=60))
def test_words_of_joined_words_are_the_same_words(text: str) -> None:
    words = split_words(text)
    assert split_words(join(words)) == words


@given(st.lists(st.decimals(0, 99, places=1).map(str), min_size=1, max_size=4))
def test_decimals_pass_unharmed_wherever_they_stand(numbers: list[str]) -> None:
    text = "Sizes are " + " cm and ".join(numbers) + " cm."
    assert clean(text) == text
    assert split_sentences(text) == (text,)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Size 1.2 cm. No effusion", ("Size 1.2 cm.", "No effusion")),
        ("Seen by Dr. Xu vs. others. Clear.", ("Seen by Dr. Xu vs. others.", "Clear.")),
        ("Small, i.e. 3 mm. Normal?", ("Small, i.e. 3 mm.", "Normal?")),
        ("clear lungs . no effusion .", ("clear lungs.", "no effusion.")),
        ("Clear lungs. )", ("Clear lungs.)",)),
        ("", ()),
    ],
)
def test_sentences_end_at_marks_that_end_them(text: str, sentences: tuple[str, ...]) -> None:
    assert split_sentences(text) == sentences
