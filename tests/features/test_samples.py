"""Samples from pixels or cached features, their targets, and batches in the order that was asked for."""

from __future__ import annotations

import pickle
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mini_data import ABNORMAL, NORMAL, mini_config, mini_study

from contrastcxr.assemble import make_encoder, make_preprocess
from contrastcxr.data.pixels import Picture
from contrastcxr.data.transforms import Preprocess
from contrastcxr.errors import DatasetError
from contrastcxr.features.batch import Batch, prepare
from contrastcxr.features.cache import FeatureCache, encode_views
from contrastcxr.features.needs import TargetReader
from contrastcxr.features.samples import FromCache, FromPixels, StudySamples, Target, loader, target_of
from contrastcxr.form import Author, Finding, Reading, Report, Study, View
from contrastcxr.models.heads.decoders import DECODERS
from contrastcxr.text.tokenizer import Tokenizer

TOKENIZER = Tokenizer.train([ABNORMAL, NORMAL, "Cough and fever"], min_count=1)
LABELS = ("Pleural Effusion", "Edema")
SMALL = Preprocess(size=32)

MULTI_ATTENTION = DECODERS["multi_attention"].options().needs
CO_ATTENTION = DECODERS["co_attention"].options(tags="phantom").needs


def target(study: Study, written: str = ABNORMAL, *, max_tokens: int = 20, labels: Sequence[str] = ()) -> Target:
    return target_of(study, written=written, tokenizer=TOKENIZER, max_tokens=max_tokens, labels=labels)


def test_a_target_has_the_words_and_a_mask_of_what_is_known() -> None:
    found = target(mini_study(1, split="train"), max_tokens=6, labels=LABELS)
    assert found.token_ids.tolist()[:1] == [TOKENIZER.special.bos]
    assert found.token_ids.tolist()[-1] == TOKENIZER.special.eos
    assert len(found.token_ids) == 6
    assert found.finding_targets is not None
    assert found.finding_targets.tolist() == [1.0, 0.0]


def test_without_a_finding_head_a_target_has_words_alone() -> None:
    found = target(mini_study(1, split="train"), written="")
    assert found.token_ids.tolist() == [TOKENIZER.special.bos, TOKENIZER.special.eos]
    assert (found.finding_targets, found.finding_mask) == (None, None)
    assert (found.further.tags, found.further.abnormal, found.further.indication_ids) == (None, None, None)


@pytest.mark.parametrize(
    ("policy", "value", "known"), [("ignore", 0, False), ("ones", 1, True), ("zeros", 0, True)]
)
def test_the_policy_for_uncertain_labels_reaches_the_target(policy: str, value: float, known: bool) -> None:
    doubt = Reading(
        study_id="s",
        author=Author(kind="rule", name="labeler"),
        findings=(Finding(name="Edema", status="uncertain"),),
    )
    study = mini_study(0, split="train").model_copy(update={"readings": (doubt,)})
    found = target_of(
        study,
        written=NORMAL,
        tokenizer=TOKENIZER,
        max_tokens=9,
        labels=("Edema",),
        uncertain=policy,  # type: ignore[arg-type]
    )
    assert found.finding_targets is not None
    assert found.finding_mask is not None
    assert (found.finding_targets.tolist(), found.finding_mask.tolist()) == ([value], [known])


def test_what_a_decoder_needs_goes_into_the_target() -> None:
    study = mini_study(1, split="train").model_copy(update={"indication": "Cough and fever"})
    needs = TargetReader.by(MULTI_ATTENTION, [study])
    found = target_of(study, written=ABNORMAL, tokenizer=TOKENIZER, max_tokens=9, labels=(), reader=needs)
    assert found.further.indication_ids is not None
    assert TOKENIZER.decode(found.further.indication_ids.tolist()) == "Cough and fever"
    tags = TargetReader.by(CO_ATTENTION, [study])
    found = target_of(study, written=ABNORMAL, tokenizer=TOKENIZER, max_tokens=9, labels=(), reader=tags)
    assert found.further.tags is not None
    assert found.further.tags.sum() == 1


def test_an_indication_that_tells_the_answer_ends_the_making_of_targets() -> None:
    told = mini_study(1, split="train").readings[0].model_copy(update={"report": Report(impression="Cough.")})
    study = mini_study(1, split="train").model_copy(update={"indication": "cough.", "readings": (told,)})
    needs = TargetReader.by(MULTI_ATTENTION, [study])
    with pytest.raises(DatasetError, match="study train-001: the indication is the impression"):
        target_of(study, written=ABNORMAL, tokenizer=TOKENIZER, max_tokens=9, labels=(), reader=needs)


def samples(seed: int | None) -> StudySamples:
    studies = [mini_study(i, split="train") for i in range(4)]
    targets = [target(s, labels=("Pleural Effusion",)) for s in studies]
    return StudySamples(studies, targets, FromPixels(SMALL, max_views=1, augment_seed=seed))


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


def test_crops_follow_from_the_place_of_a_study_and_not_from_its_company() -> None:
    cropped = samples(3)
    [together] = list(loader(cropped, [[0, 1, 2]], pad=0))
    [alone] = list(loader(cropped, [[2]], pad=0))
    assert together.images is not None
    assert alone.images is not None
    assert torch.equal(together.images[2], alone.images[0])
    load = FromPixels(SMALL, max_views=1, augment_seed=3)
    study = mini_study(0, split="train")
    assert not torch.equal(load(study, 0).affines, load(study, 5).affines)


def test_without_a_seed_a_picture_is_what_a_reader_prepares() -> None:
    study = mini_study(1, split="train")
    found, expected = FromPixels(SMALL, max_views=1)(study, 7), prepare(study, SMALL, max_views=1)
    assert found.images is not None
    assert expected.images is not None
    assert torch.equal(found.images, expected.images)
    assert torch.equal(found.affines, expected.affines)


def test_pixels_come_from_where_one_says() -> None:
    def white(view: View) -> Picture:
        return Picture(np.ones((32, 32), np.float32), (view.height or 0, view.width or 0))

    sample = FromPixels(Preprocess(size=32, mean=(0, 0, 0), std=(1, 1, 1)), 1, picture_of=white)(
        mini_study(1, split="train"), 0
    )
    assert sample.images is not None
    assert bool((sample.images == 1).all())
    assert sample.affines[0, 0, 0] == pytest.approx(64 / 32)


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=3), max_size=4))
def test_a_loader_gives_the_batches_it_was_given(batches: list[list[int]]) -> None:
    found = list(loader(samples(None), batches, pad=0))
    assert [[int(name[-3:]) for name in batch.study_ids] for batch in found] == batches
    assert len(loader(samples(None), batches, pad=0)) == len(batches)


def test_worker_processes_give_the_same_batches_in_the_same_order() -> None:
    def images(workers: int) -> list[torch.Tensor]:
        found: list[Batch] = list(loader(samples(1), [[3, 1], [0, 2]], pad=0, workers=workers))
        return [batch.images for batch in found if batch.images is not None]

    for one, other in zip(images(0), images(1), strict=True):
        assert torch.equal(one, other)


def test_words_are_padded_with_the_id_that_was_given() -> None:
    studies = [mini_study(i, split="train") for i in range(2)]
    targets = [target(studies[0], "Cough"), target(studies[1], ABNORMAL)]
    [batch] = list(loader(StudySamples(studies, targets, FromPixels(SMALL, 1)), [[0, 1]], pad=77))
    assert batch.token_ids is not None
    assert batch.token_mask is not None
    assert batch.token_ids[0, 3:].eq(77).all()
    assert not batch.token_mask[0, 3:].any()
    assert batch.token_mask[1].all()


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> FeatureCache:
    encoder = make_encoder(mini_config())
    views = [view for i in range(3) for view in mini_study(i, split="train").views]
    preprocess = make_preprocess(mini_config(), encoder)
    found, _ = encode_views(views, encoder=encoder, preprocess=preprocess, root=tmp_path_factory.mktemp("cache"))
    return found


def test_cached_features_become_a_sample_without_pixels(cached: FeatureCache) -> None:
    study = mini_study(2, split="train")
    sample = FromCache(cached, max_views=2)(study, 0)
    assert sample.images is None
    assert sample.features is not None
    assert sample.features.shape[0] == len(sample.positions) == len(sample.view_index) == 1
    assert (sample.study_id, sample.patient_id) == (study.study_id, study.patient_id)
    assert sample.affines.shape == (1, 2, 3)


def test_a_cached_sample_is_a_copy_that_may_be_written_to(cached: FeatureCache) -> None:
    study = mini_study(1, split="train")
    first = FromCache(cached, 1)(study, 0)
    assert first.features is not None
    first.features.zero_()
    first.affines.zero_()
    again = FromCache(cached, 1)(study, 0)
    assert again.features is not None
    assert again.features.abs().sum() > 0
    assert again.affines.abs().sum() > 0


def test_a_view_that_was_never_encoded_is_no_sample(cached: FeatureCache) -> None:
    with pytest.raises(KeyError):
        FromCache(cached, 1)(mini_study(5, split="train"), 0)


def test_samples_from_the_cache_go_to_another_process(cached: FeatureCache) -> None:
    studies = [mini_study(i, split="train") for i in range(3)]
    made = StudySamples(studies, [target(s) for s in studies], FromCache(cached, 1))
    again = pickle.loads(pickle.dumps(made))
    one, other = made[2], again[2]
    assert len(again) == len(made) == 3
    assert one.features is not None
    assert torch.equal(one.features, other.features)
    assert torch.equal(one.token_ids, other.token_ids)


def test_the_affine_of_cached_features_is_that_of_the_pixels(cached: FeatureCache) -> None:
    study = mini_study(0, split="train")
    encoder = make_encoder(mini_config())
    pixels = FromPixels(make_preprocess(mini_config(), encoder), 1)(study, 0)
    assert torch.allclose(FromCache(cached, 1)(study, 0).affines, pixels.affines)
