from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mini_data import ABNORMAL, mini_study

from contrastcxr.config import DataConfig, without_places
from contrastcxr.config.data_ref import data_ref
from contrastcxr.data.authors import reading_of, report_text
from contrastcxr.data.transforms import Preprocess
from contrastcxr.errors import ConfigError, DatasetError
from contrastcxr.features.samples import FromPixels, StudySamples, loader, target_of
from contrastcxr.form import Author, Reading, Report
from contrastcxr.text.tokenizer import Tokenizer
from contrastcxr.training.order import Share, epoch_batches


@given(count=st.integers(1, 60), size=st.integers(1, 9), seed=st.integers(0, 5), epoch=st.integers(0, 5))
def test_an_epoch_takes_each_study_at_most_once_in_equal_batches(
    count: int, size: int, seed: int, epoch: int
) -> None:
    batches = epoch_batches(count, batch_size=size, seed=seed, epoch=epoch)
    taken = [i for batch in batches for i in batch]
    assert len(set(taken)) == len(taken)
    assert {len(batch) for batch in batches} == {min(size, count)}
    assert len(taken) > count - size


def test_only_seed_and_epoch_decide_the_order() -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        return epoch_batches(20, batch_size=5, seed=seed, epoch=epoch)

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)


@given(
    lengths=st.lists(st.integers(2, 60), min_size=1, max_size=90), size=st.integers(1, 9), seed=st.integers(0, 5)
)
def test_batches_by_length_take_the_same_studies_with_no_more_padding(
    lengths: list[int], size: int, seed: int
) -> None:
    def padded(batches: list[list[int]]) -> int:
        return sum(max(lengths[i] for i in batch) * len(batch) for batch in batches)

    plain = epoch_batches(len(lengths), batch_size=size, seed=seed, epoch=0)
    grouped = epoch_batches(len(lengths), batch_size=size, seed=seed, epoch=0, lengths=lengths)
    assert sorted(i for batch in grouped for i in batch) == sorted(i for batch in plain for i in batch)
    assert {len(batch) for batch in grouped} == {len(batch) for batch in plain}
    assert padded(grouped) <= padded(plain)


def test_batches_by_length_do_not_come_in_the_order_of_length() -> None:
    lengths = [i % 50 for i in range(4000)]
    batches = epoch_batches(4000, batch_size=4, seed=0, epoch=0, lengths=lengths)
    longest = [max(lengths[i] for i in batch) for batch in batches]
    assert longest != sorted(longest)
    spread = [max(lengths[i] for i in batch) - min(lengths[i] for i in batch) for batch in batches]
    assert sum(spread) / len(spread) < 5  # of 50 lengths


@given(batch=st.lists(st.integers(), max_size=9), world=st.integers(1, 4))
def test_the_shares_of_a_batch_are_the_batch(batch: list[int], world: int) -> None:
    shares = [Share(rank, world).of(batch) for rank in range(world)]
    assert sorted(i for share in shares for i in share) == sorted(batch)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_the_named_author_is_learnt_and_an_unknown_one_refused_with_those_there() -> None:
    study = mini_study(1, split="train")
    other = Reading(study_id=study.study_id, author=Author(kind="human", name="radiologist"))
    study = study.model_copy(update={"readings": (*study.readings, other)})
    assert reading_of(study, author=None) is study.readings[0]
    assert reading_of(study, author="radiologist") is other
    with pytest.raises(DatasetError, match=r"found phantom truth, radiologist; set data\.author"):
        reading_of(study, author="nobody")


def test_the_text_is_the_sections_asked_for_in_order() -> None:
    report = Report(findings="Clear lungs. ", impression="Normal.")
    reading = Reading(study_id="s", author=Author(kind="human", name="r"), report=report)
    assert report_text(reading, sections=("findings", "impression")) == "Clear lungs. Normal."
    assert report_text(reading, sections=("impression",)) == "Normal."


def test_a_target_has_the_words_and_a_mask_of_what_is_known() -> None:
    tokenizer = Tokenizer.train([ABNORMAL], min_count=1)
    labels = ("Pleural Effusion", "Edema")
    target = target_of(
        mini_study(1, split="train"), written=ABNORMAL, tokenizer=tokenizer, max_tokens=6, labels=labels
    )
    assert target.token_ids.tolist()[:1] == [tokenizer.special.bos]
    assert target.token_ids.tolist()[-1] == tokenizer.special.eos
    assert len(target.token_ids) == 6
    assert target.finding_targets is not None
    assert target.finding_targets.tolist() == [1.0, 0.0]
    assert (
        target_of(mini_study(1, split="t"), written="", tokenizer=tokenizer, max_tokens=6, labels=()).finding_mask
        is None
    )


def samples(seed: int | None) -> StudySamples:
    studies = [mini_study(i, split="train") for i in range(4)]
    tokenizer = Tokenizer.train([ABNORMAL], min_count=1)
    targets = [
        target_of(s, written=ABNORMAL, tokenizer=tokenizer, max_tokens=20, labels=("Pleural Effusion",))
        for s in studies
    ]
    return StudySamples(studies, targets, FromPixels(Preprocess(size=32), max_views=1, augment_seed=seed))


def test_a_batch_holds_pixels_words_and_targets_in_the_given_order() -> None:
    [batch] = list(loader(samples(None), [[2, 0]], pad=0))
    assert batch.study_ids == ("train-002", "train-000")
    assert batch.images is not None
    assert batch.images.shape == (2, 1, 3, 32, 32)
    assert batch.token_ids is not None
    assert batch.finding_targets is not None


def test_crops_follow_from_the_seed() -> None:
    def image(seed: int | None) -> torch.Tensor:
        found = samples(seed)[0].images
        assert found is not None
        return found

    assert torch.equal(image(3), image(3))
    assert not torch.equal(image(3), image(4))
    assert torch.equal(image(None), image(None))


def test_a_data_name_says_source_place_split_and_options() -> None:
    config = DataConfig(source="nih14-cv", root="/data/nih14", fold=2, options={"report": "plain"})
    assert str(data_ref(config, split="train")) == "nih14-cv:/data/nih14/train?report=plain&seed=0&fold=2"
    assert str(data_ref(DataConfig(seed=3), split="test")) == "phantom:standard/test?seed=3"


def test_further_roots_follow_the_root_and_only_known_parameters_are_named() -> None:
    options = {"subset": "findings", "reports": "/txt", "images": "any"}
    config = DataConfig(source="mimic_cxr", root="/jpg", options=options)
    assert str(data_ref(config, split="train")) == "mimic_cxr:/jpg,subset=findings,reports=/txt/train?images=any"
    assert str(data_ref(DataConfig(source="manifest", root="a.jsonl"), split="test")) == "manifest:a.jsonl/test"


def test_a_configuration_that_travels_names_no_folder() -> None:
    config = DataConfig(source="mimic_cxr", root="/jpg", options={"subset": "findings", "reports": "/txt"})
    kept = without_places(config.model_dump())
    assert (kept["root"], kept["options"], kept["source"]) == (None, {"subset": "findings"}, "mimic_cxr")


def test_a_place_for_drawn_studies_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"take data\.root away"):
        data_ref(DataConfig(source="phantom:standard", root=str(tmp_path)), split="train")
