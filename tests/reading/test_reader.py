"""Studies become readings; neither order, nor size, nor padding of a batch changes one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from contrastcxr.errors import ImageError, IncompatibleError, UnknownNameError
from contrastcxr.features.batch import collate, prepare
from contrastcxr.form import Reading, Study, View
from contrastcxr.models.contrast.bank import FoundNegatives
from contrastcxr.reading.evidence import Abilities, unavailable
from contrastcxr.reading.reader import Reader
from contrastcxr.text.tokenizer import Tokenizer
from contrastcxr.vocab.labels import PHANTOM
from tiny_system import save_tiny, tiny_config, tiny_study

NUCLEUS = {"method": "nucleus", "max_tokens": 24, "top_p": 0.95, "temperature": 1.5}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def reader(checkpoint: Path) -> Reader:
    return Reader.from_checkpoint(checkpoint)


def studies() -> list[Study]:
    return [tiny_study(f"s{n}", views=1 + n % 2, seed=n, patient=f"patient{n}") for n in range(5)]


def same(one: Reading, other: Reading) -> bool:
    """Equal words, and numbers equal up to the rounding of sums in another order."""
    probabilities = [(a.probability, b.probability) for a, b in zip(one.findings, other.findings, strict=True)]
    return (
        one.report == other.report
        and [f.name for f in one.findings] == [f.name for f in other.findings]
        and all(a == pytest.approx(b, abs=2e-4) for a, b in probabilities)
        and one.flags == other.flags
    )


def test_a_reading_has_a_report_a_probability_for_each_label_and_its_evidence(reader: Reader) -> None:
    reading = reader.read(tiny_study("one"))
    assert reading.report.sentences
    assert reading.report.findings == " ".join(reading.report.sentences)
    assert [f.name for f in reading.findings if f.probability is not None] == list(PHANTOM)
    assert len(reading.evidence.attention) == len(reading.report.sentences)
    assert len(reading.evidence.closest) == 3
    assert reading.author.name == "tiny"


def test_batch_order_size_and_padding_change_nothing(checkpoint: Path, reader: Reader) -> None:
    alone = {s.study_id: reader.read(s) for s in studies()}
    together = reader.read_batch(studies())
    backwards = Reader.from_checkpoint(checkpoint, batch_size=2).read_batch(studies()[::-1])
    assert [r.study_id for r in together] == [s.study_id for s in studies()]
    assert all(same(r, alone[r.study_id]) for r in (*together, *backwards))


def test_sampling_depends_on_the_seed_and_the_study_only(tmp_path: Path) -> None:
    path = save_tiny(tmp_path, tiny_config(generate=NUCLEUS))
    alone = {s.study_id: Reader.from_checkpoint(path, seed=3).read(s).report for s in studies()}
    together = Reader.from_checkpoint(path, seed=3).read_batch(studies()[::-1])
    other = Reader.from_checkpoint(path, seed=4).read_batch(studies())
    assert all(r.report == alone[r.study_id] for r in together)
    assert any(r.report != alone[r.study_id] for r in other)


def test_cached_features_read_as_pixels_do(reader: Reader) -> None:
    batch = collate([prepare(s, reader.preprocess) for s in studies()])
    assert batch.images is not None
    with torch.no_grad():
        cached = replace(batch, images=None, features=reader.system.encode(batch.images))
    from_pixels = reader.read_features(batch, evidence=True)
    from_cache = reader.read_features(cached, evidence=True)
    assert all(map(same, from_pixels, from_cache))
    assert from_cache[0].evidence.attention


def test_features_are_read_without_evidence_unless_it_is_asked_for(reader: Reader) -> None:
    batch = collate([prepare(s, reader.preprocess) for s in studies()])
    assert reader.read_features(batch)[0].evidence.attention == ()


def test_reading_leaves_a_system_in_training_as_it_was(checkpoint: Path) -> None:
    reader = Reader.from_checkpoint(checkpoint)
    reader.system.train()
    reader.read(tiny_study("one"))
    assert reader.system.training
    assert all(p.grad is None for p in reader.system.parameters())


def test_maps_cover_each_view_in_its_own_pixels(reader: Reader) -> None:
    study = tiny_study("two", views=2)
    evidence = reader.read(study).evidence
    shapes = [view.pixels.shape for view in study.views if view.pixels is not None]
    assert [m.extent for m in evidence.contrast] == [(0.0, 0.0, w, h) for h, w in shapes]
    assert [[m.view for m in maps] for maps in evidence.attention] == [[0, 1]] * len(evidence.attention)
    for maps in evidence.attention:
        assert sum(v for m in maps for row in m.rows for v in row) == pytest.approx(1.0, abs=1e-3)


def test_the_lateral_listed_first_keeps_its_own_maps(reader: Reader) -> None:
    study = tiny_study("two", views=2)
    turned = study.model_copy(update={"views": study.views[::-1]})
    maps = {m.view: m.rows for m in reader.read(study).evidence.contrast}
    swapped = {m.view: m.rows for m in reader.read(turned).evidence.contrast}
    assert swapped == {0: maps[1], 1: maps[0]}


def test_the_patient_being_read_is_not_compared_with_himself(reader: Reader) -> None:
    own = "normal2/frontal"
    strangers = reader.read(tiny_study("one")).evidence
    his = reader.read(tiny_study("one", patient="patient2")).evidence
    assert own in {m.image_id for m in (*strangers.closest, *strangers.farthest)}
    assert own not in {m.image_id for m in (*his.closest, *his.farthest)}


def test_each_repeat_names_its_own_closest_and_farthest_by_its_own_weights(reader: Reader) -> None:
    seen: list[torch.Tensor] = []
    assert reader.system.contrast is not None
    hook = reader.system.contrast.register_forward_hook(
        lambda _m, _i, out: seen.append(out.evidence["pool_weights"])
    )
    evidence = reader.read(tiny_study("one")).evidence
    hook.remove()
    assert reader.system.pool is not None
    ids = reader.system.pool.rows.image_ids
    (weights,) = seen[0]  # [n, N_P]
    assert len(evidence.repeats) == len(weights) > 1
    for repeat, row in zip(evidence.repeats, weights.tolist(), strict=True):
        by_weight = sorted(range(len(row)), key=lambda i: -row[i])
        assert [m.image_id for m in repeat.closest] == [ids[i] for i in by_weight[:3]]
        assert [m.image_id for m in repeat.farthest] == [ids[i] for i in by_weight[3:][::-1][:3]]
        assert [m.weight for m in repeat.closest] == pytest.approx([row[i] for i in by_weight[:3]], abs=1e-6)


def test_a_single_repeat_is_not_said_twice(tmp_path: Path) -> None:
    one = tiny_config(contrast={"repeats": 1})
    evidence = Reader.from_checkpoint(save_tiny(tmp_path, one)).read(tiny_study("one")).evidence
    assert evidence.closest
    assert evidence.repeats == ()


@pytest.mark.parametrize(
    ("changes", "findings", "normals"),
    [({"finding_head": None}, False, True), ({"contrast": None}, True, False)],
    ids=["no finding head", "no contrast"],
)
def test_parts_may_be_absent(tmp_path: Path, changes: dict[str, object], findings: bool, normals: bool) -> None:
    reading = Reader.from_checkpoint(save_tiny(tmp_path, tiny_config(**changes))).read(tiny_study("one"))
    assert any(f.probability is not None for f in reading.findings) == findings
    assert bool(reading.evidence.closest) == normals
    assert bool(reading.evidence.contrast) == normals


def test_a_pool_of_zeros_shows_no_normals(tmp_path: Path) -> None:
    config = tiny_config(contrast={"repeats": 2, "pool": {"kind": "zeros"}})
    reading = Reader.from_checkpoint(save_tiny(tmp_path, config)).read(tiny_study("one"))
    assert reading.evidence.closest == ()


def test_nic_reads_without_attention(tmp_path: Path) -> None:
    reading = Reader.from_checkpoint(save_tiny(tmp_path, tiny_config(decoder={"kind": "nic"}))).read(
        tiny_study("one")
    )
    assert reading.report.sentences
    assert reading.evidence.attention == ()
    assert reading.evidence.unavailable == {
        "attention": "the decoder nic has no attention over the picture",
        "plan": "the decoder nic plans no sentences before it writes",
        "tags": "the decoder nic predicts no tags",
        "finding_maps": "the model has no localizer",
        "difference": "the model has no contrast-induced attention",
        "negatives": "the model has no contrast-induced attention",
    }


def test_a_model_says_which_evidence_it_cannot_give(tmp_path: Path, reader: Reader) -> None:
    """Without Contrastive Attention nothing is compared; a pool of zeros still contrasts."""
    words = {"plan", "tags", "finding_maps"}  # the transformer neither plans nor tags, and nothing localizes
    words |= {"difference", "negatives"}
    assert set(reader.read(tiny_study("one")).evidence.unavailable) == words
    without = Reader.from_checkpoint(save_tiny(tmp_path, tiny_config(contrast=None)))
    found = without.read(tiny_study("one")).evidence.unavailable
    assert set(found) == {"contrast", "closest", "farthest", "repeats"} | words
    zeros = tiny_config(contrast={"repeats": 2, "pool": {"kind": "zeros"}})
    said = Reader.from_checkpoint(save_tiny(tmp_path, zeros)).read(tiny_study("one")).evidence
    assert set(said.unavailable) == {"closest", "farthest", "repeats"} | words
    assert said.contrast


def test_every_empty_part_of_the_evidence_has_its_reason(tmp_path: Path) -> None:
    once = tiny_config(contrast={"repeats": 1}, decoder={"kind": "hlstm", "sentences": 2, "words": 4})
    induced = [
        tiny_config(contrast={"kind": "difference", "bank": {"kind": kind}}) for kind in ("normal", "zeros")
    ]
    for config in (once, tiny_config(contrast=None), tiny_config(decoder={"kind": "nic"}), *induced):
        shown = Reader.from_checkpoint(save_tiny(tmp_path, config)).read(tiny_study("one")).evidence
        empty = {name for name in type(shown).model_fields if not getattr(shown, name)}
        assert set(shown.unavailable) == empty - {"unavailable", "votes"}  # which another search would fill


@pytest.fixture(scope="module")
def induced(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """A reader that compares each view with a negative, of views PA."""
    config = tiny_config(contrast={"kind": "difference", "stage": 1})
    return Reader.from_checkpoint(save_tiny(tmp_path_factory.mktemp("induced"), config))


def test_a_reading_shows_the_difference_and_the_negative_of_each_view(induced: Reader) -> None:
    reading = induced.read(tiny_study("one", views=2))
    shown = reading.evidence
    assert [map_.view for map_ in shown.difference] == [0, 1]
    assert [each.view for each in shown.negatives] == [0, 1]
    for map_ in shown.difference:
        assert np.mean(map_.rows) == pytest.approx(1.0, abs=1e-4)
    assert {each.image_id for each in shown.negatives} <= set(induced.system.bank.rows.image_ids)
    assert all(-1 <= each.similarity <= 1 for each in shown.negatives)
    assert [each.note is None for each in shown.negatives] == [True, False]  # a lateral among frontal negatives
    assert reading.provenance["model"]["contrast"] == "difference from normal"


def test_a_patients_own_picture_is_never_the_negative(induced: Reader) -> None:
    free = induced.read(tiny_study("one")).evidence.negatives[0].image_id
    own = induced.read(tiny_study("one", patient=free.partition("/")[0].replace("normal", "patient")))
    assert own.evidence.negatives[0].image_id != free


def test_a_view_without_a_negative_is_told(induced: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(queries: torch.Tensor, **_: object) -> FoundNegatives:
        nothing = torch.full((len(queries),), -1)
        return FoundNegatives(nothing, torch.zeros(len(queries)), torch.ones(len(queries), dtype=torch.bool))

    assert not [flag for flag in induced.read(tiny_study("one")).flags if "is compared with no" in flag.message]
    monkeypatch.setattr(induced.system.bank, "find", none)
    reading = induced.read(tiny_study("one"))
    said = [flag.message for flag in reading.flags if "is compared with no picture" in flag.message]
    assert said[0].startswith("view 1 ")
    assert reading.evidence.negatives == ()


def test_order_size_and_padding_of_a_batch_change_no_negative(induced: Reader) -> None:
    studies = [tiny_study(f"s{n}", views=1 + n % 2, seed=n) for n in range(5)]
    alone = [induced.read(study).evidence for study in studies]
    together = [reading.evidence for reading in induced.read_batch(studies[::-1])][::-1]
    assert [each.negatives for each in alone] == [each.negatives for each in together]
    for one, other in zip(alone, together, strict=True):
        for first, second in zip(one.difference, other.difference, strict=True):
            np.testing.assert_allclose(first.rows, second.rows, atol=2e-4)


def test_features_without_thumbnails_are_refused_by_name(induced: Reader) -> None:
    sample = prepare(tiny_study("one"), induced.preprocess)
    batch = collate([sample])
    bare = replace(batch, images=None, features=torch.zeros(1, 1, 4, induced.system.encoder.channels))
    with pytest.raises(IncompatibleError, match="features without thumbnails"):
        induced.read_features(bare)


def test_few_images_of_a_pool_are_all_closest() -> None:
    model = Abilities(decoder="nic", attends=True, placed=True, contrasts=True, images=3, repeats=6)
    assert "no more images" in unavailable(model)["farthest"]
    assert "farthest" not in unavailable(replace(model, images=4))


def test_a_reading_says_whether_its_model_reads_the_indication(tmp_path: Path, reader: Reader) -> None:
    assert reader.provenance["model"]["reads_indication"] is False
    decoder = {"kind": "multi_attention", "sentences": 2, "words": 4}
    reading = Reader.from_checkpoint(save_tiny(tmp_path, tiny_config(decoder=decoder))).read(tiny_study("one"))
    assert reading.provenance["model"]["reads_indication"] is True


def test_another_vocabulary_is_refused_with_both_sizes(reader: Reader) -> None:
    other = Tokenizer.train(["One two three."], min_count=1)
    said = rf"a vocabulary of {len(other)} tokens with a decoder of {len(reader.tokenizer)}"
    with pytest.raises(IncompatibleError, match=said):
        Reader(reader.system, other, reader.preprocess)


def test_bfloat16_reads(checkpoint: Path) -> None:
    reading = Reader.from_checkpoint(checkpoint, dtype="bfloat16").read(tiny_study("one"))
    assert reading.report.sentences
    assert reading.provenance["dtype"] == "bfloat16"


def test_findings_without_a_head_are_flagged_as_not_assessed(reader: Reader) -> None:
    flags = reader.read(tiny_study("one")).flags
    missing = {f.finding for f in flags if f.kind == "not_assessed"}
    assert "Enlarged Cardiomediastinum" in missing
    assert not missing & {*PHANTOM, "Lung Lesion", "No Finding"}


def test_unknown_projection_orientation_and_unread_views_are_flagged(reader: Reader) -> None:
    study = tiny_study("three", views=3)
    blind = study.views[0].model_copy(update={"position": "unknown"})
    reading = reader.read(study.model_copy(update={"views": (blind, *study.views[1:])}))
    said = " ".join(f.message for f in reading.flags)
    assert "view 1: projection not stated" in said
    assert "view 1: left and right not stated" in said
    assert "was not read" in said


def test_a_model_of_phantoms_says_so(reader: Reader) -> None:
    assert any("phantoms only" in f.message for f in reader.read(tiny_study("one")).flags)


def test_provenance_is_the_same_twice_and_carries_licences_and_the_hash(checkpoint: Path, reader: Reader) -> None:
    again = Reader.from_checkpoint(checkpoint).read(tiny_study("one"))
    assert again == reader.read(tiny_study("one"))
    assert len(again.provenance["model"]["checkpoint_sha256"]) == 64
    assert again.provenance["sources"][0]["licence"] == "Apache-2.0"


def test_an_unreadable_view_is_an_image_error(reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    study = Study(study_id="b", views=(View(view_id="b", locator=str(tmp_path / "broken.png")),))
    with pytest.raises(ImageError, match=r"broken\.png"):
        reader.read(study)


def test_labels_of_another_head_and_an_unknown_dtype_are_refused(reader: Reader) -> None:
    parts = (reader.system, reader.tokenizer, reader.preprocess)
    with pytest.raises(IncompatibleError, match="finding head"):
        Reader(*parts, labels=("Edema",))
    with pytest.raises(UnknownNameError, match="float32"):
        Reader(*parts, dtype="flaot32")
