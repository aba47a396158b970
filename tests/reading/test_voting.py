"""A search that votes, in a reader: shares of its own samples, whatever the batch, the head or the beam say."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from contrastcxr.decode.settings import GenerationSettings
from contrastcxr.decode.votes import SampledReport, best_supported, vote_shares
from contrastcxr.errors import ConfigError, IncompatibleError
from contrastcxr.features.batch import Batch, collate, prepare
from contrastcxr.features.extraction import normal_features, raw_features
from contrastcxr.form import Finding, Study
from contrastcxr.reading.reader import Reader
from contrastcxr.reading.voting import present
from contrastcxr.text.grammar.parsing import parse
from tiny_system import save_tiny, tiny_config, tiny_study

WORD = re.compile(r"[a-z0-9]+")
VOTES = ("generate.method=votes", "generate.samples=7", "generate.threshold=0.2")
DECODERS: dict[str, dict[str, Any]] = {
    "word by word": {"kind": "transformer", "layers": 1, "heads": 2, "feed_forward": 16},
    "by sentences": {"kind": "multi_attention", "embedding": 16, "hidden": 16},
}


@pytest.fixture(scope="module", params=list(DECODERS))
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    decoder = DECODERS[request.param]
    config = tiny_config(decoder=decoder, generate={"max_tokens": 24}, data={"source": "phantom:smoke"})
    return save_tiny(tmp_path_factory.mktemp("model"), config)


class FakeLabeler:
    def label(self, text: str) -> tuple[Finding, ...]:
        found = Finding(name="Edema", status="present"), Finding(name="Nodule", status="absent")
        return found if text else ()


def studies() -> list[Study]:
    return [tiny_study(f"s{n}", views=1 + n % 2, seed=n, patient=f"patient{n}") for n in range(5)]


def batch_of(reader: Reader, chosen: list[Study]) -> Batch:
    return collate(
        [reader.with_inputs(study, prepare(study, reader.preprocess)) for study in chosen], pad=reader.pad
    )


def words(samples: tuple[SampledReport, ...]) -> list[tuple[int, ...]]:
    return [sample.words for sample in samples]


def test_order_and_size_of_a_batch_change_nothing(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader.from_checkpoint(checkpoint, overrides=VOTES)
    together = reader.read_batch(studies())
    monkeypatch.setattr("contrastcxr.reading.reader._REPORTS", 7)  # a study at a time
    alone = {study.study_id: reader.read(study) for study in studies()}
    backwards = Reader.from_checkpoint(checkpoint, overrides=VOTES, batch_size=2).read_batch(studies()[::-1])
    for reading in (*together, *backwards):
        assert reading.report == alone[reading.study_id].report
        assert reading.evidence.votes == alone[reading.study_id].evidence.votes


def test_the_seed_draws_other_samples(checkpoint: Path) -> None:
    drawn = [Reader.from_checkpoint(checkpoint, overrides=VOTES, seed=seed) for seed in (0, 0, 1)]
    first, again, other = ([words(s) for s in r.samples(batch_of(r, studies()))] for r in drawn)
    assert first == again != other


def test_shares_and_report_are_those_of_the_samples(checkpoint: Path) -> None:
    reader = Reader.from_checkpoint(checkpoint, overrides=VOTES)
    batch = batch_of(reader, studies())
    assert reader.tokenizer is not None
    for samples, reading in zip(reader.samples(batch), reader.read_features(batch), strict=True):
        assert len(samples) == 7
        assert reading.evidence.votes == vote_shares(samples)
        chosen = samples[best_supported(samples, 0.2)]
        said = " ".join(reading.report.sentences)
        assert present(said, parse) == chosen.findings
        written = reader.tokenizer.decode(chosen.words)
        assert WORD.findall(written.lower()) == WORD.findall(said.lower())  # marks without a word are not shown


def test_attention_and_plan_are_those_of_the_report_that_is_written(checkpoint: Path) -> None:
    reader = Reader.from_checkpoint(checkpoint, overrides=VOTES)
    reading = reader.read(tiny_study("one"))
    assert len(reading.evidence.attention) == len(reading.report.sentences)
    for maps in reading.evidence.attention:
        assert sum(v for m in maps for row in m.rows for v in row) == pytest.approx(1.0, abs=1e-3)
    assert reading.provenance["search"]["method"] == "votes"
    assert (reading.provenance["search"]["samples"], reading.provenance["search"]["threshold"]) == (7, 0.2)


def test_the_finding_head_has_no_vote(checkpoint: Path) -> None:
    reader = Reader.from_checkpoint(checkpoint, overrides=VOTES)
    before = reader.read_features(batch_of(reader, studies()))
    with torch.no_grad():
        for parameter in reader.system.finding_head.parameters():  # type: ignore[union-attr]
            parameter.add_(5.0)
    after = reader.read_features(batch_of(reader, studies()))
    assert [r.evidence.votes for r in before] == [r.evidence.votes for r in after]
    assert [r.report for r in before] == [r.report for r in after]
    assert [r.findings for r in before] != [r.findings for r in after]


def test_a_search_that_does_not_vote_has_no_votes(checkpoint: Path) -> None:
    assert Reader.from_checkpoint(checkpoint).read(tiny_study("one")).evidence.votes == {}


@pytest.mark.parametrize(
    ("text", "grammar", "found"),
    [
        ("There is a small left pleural effusion. No pneumothorax is seen.", True, {"Pleural Effusion"}),
        ("Small left pleural effusion. No pneumothorax.", False, {"Pleural Effusion"}),
        ("No acute cardiopulmonary abnormality.", False, set()),
    ],
)
def test_samples_are_read_by_the_grammar_or_else_by_the_labeler(text: str, grammar: bool, found: set[str]) -> None:
    assert present(text, parse if grammar else None) == found


def test_a_model_of_another_language_is_read_by_the_labeler(tmp_path: Path) -> None:
    path = save_tiny(tmp_path, tiny_config(generate={"max_tokens": 24}))
    reader = Reader.from_checkpoint(path, overrides=VOTES)
    assert reader.parse is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "parse", None)
        patch.setattr("contrastcxr.reading.voting.default_labeler", FakeLabeler)
        (samples,) = reader.samples(batch_of(reader, studies()[:1]))
    assert [s.findings for s in samples] == [frozenset({"Edema"})] * 7


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ("train.epochs=3",),
            r"--set train\.epochs=3: of a trained system only the search can be set: generate\.",
        ),
        (("generate.threshold=0.2",), r"generate\.threshold 0\.2 with generate\.method beam: .* votes alone"),
        (("generate.method=votes", "generate.beams=5"), r"generate\.beams 5 with generate\.method votes"),
        (("generate.method=vote",), r"generate\.method: .*found 'vote'"),
        (("generate.sample=3",), r"unknown key 'generate\.sample'; did you mean 'samples'"),
    ],
)
def test_a_wrong_change_of_the_search_is_refused(checkpoint: Path, overrides: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Reader.from_checkpoint(checkpoint, overrides=overrides)


def test_a_new_method_leaves_the_options_of_the_old_one_behind(tmp_path: Path) -> None:
    generate = {"max_tokens": 20, "beams": 5, "length_penalty": 0.5, "block_trigrams": True}
    path = save_tiny(tmp_path, tiny_config(generate=generate))
    found = Reader.from_checkpoint(path, overrides=["generate.method=votes"]).settings
    assert found == GenerationSettings(method="votes", max_tokens=20, block_trigrams=True)
    same = Reader.from_checkpoint(path, overrides=["generate.max_tokens=10"]).settings
    assert same == GenerationSettings(**{**generate, "max_tokens": 10})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("written", "overrides", "found"),
    [
        ({"threshold": 0.3, "samples": 5}, ["generate.method=votes"], {"method": "votes"}),
        (
            {"method": "votes", "threshold": 0.3, "samples": 5},
            ["generate.max_tokens=10"],
            {"method": "votes", "threshold": 0.3, "samples": 5, "max_tokens": 10},
        ),
        (
            {"method": "nucleus", "temperature": 0.5, "top_p": 0.5},
            ["generate.method=votes"],
            {"method": "votes", "temperature": 0.5},
        ),
    ],
)
def test_what_a_file_says_of_a_search_that_it_does_not_use_does_not_bind(
    tmp_path: Path, written: dict[str, object], overrides: list[str], found: dict[str, object]
) -> None:
    path = save_tiny(tmp_path, tiny_config(generate={"max_tokens": 20, **written}))
    settings = Reader.from_checkpoint(path, overrides=overrides).settings
    assert settings == GenerationSettings(**{"max_tokens": 20, **found})  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [None, "random", "zeros"])
def test_guidance_without_a_pool_of_normals_is_refused(tmp_path: Path, kind: str | None) -> None:
    contrast = None if kind is None else {"repeats": 2, "pool": {"kind": kind}}
    path = save_tiny(tmp_path, tiny_config(contrast=contrast))
    with pytest.raises(IncompatibleError, match=r"generate\.guidance 0\.5 with contrast.*pool of normals"):
        Reader.from_checkpoint(path, overrides=["generate.guidance=0.5"])


@pytest.mark.parametrize("method", ["greedy", "beam", "nucleus", "votes"])
def test_guidance_writes_something_else_and_no_weight_writes_the_same(checkpoint: Path, method: str) -> None:
    of = f"generate.method={method}"
    plain, zero, guided = (
        Reader.from_checkpoint(checkpoint, overrides=[of, f"generate.guidance={weight}"]).read_batch(studies())
        for weight in (0, 0.0, 0.9)
    )
    assert [r.report for r in plain] == [r.report for r in zero]
    assert [r.report for r in plain] != [r.report for r in guided]


def test_a_flat_normal_picture_is_the_mean_of_the_pool_at_every_patch_and_knows_no_patient(
    checkpoint: Path,
) -> None:
    reader = Reader.from_checkpoint(checkpoint)
    system, batch = reader.system.eval(), batch_of(reader, studies())
    assert system.pool is not None
    with torch.no_grad():
        raw = raw_features(system, batch)
        found = normal_features(system, batch, raw=raw)
        B, views, patches, channels = raw.shape
        flat = torch.stack([row.sum(0) for row in system.pool.raw.split(len(system.pool))])[0] / len(system.pool)
        wanted = system.features(
            raw=flat.view(1, 1, 1, channels).repeat(B, views, patches, 1),
            view_mask=batch.view_mask,
            positions=batch.positions,
        )
        stranger = normal_features(system, replace(batch, patient_ids=(None,) * B), raw=raw)
    torch.testing.assert_close(found.patches, wanted.patches)
    torch.testing.assert_close(found.pooled, wanted.pooled)
    assert torch.equal(found.pooled, stranger.pooled)
    assert torch.equal(found.mask, wanted.mask)
