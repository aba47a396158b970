"""Reading through the cache of features gives a system all that reading pictures gives it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from contrastcxr.data.views import chosen_views
from contrastcxr.errors import DatasetError
from contrastcxr.evaluation.cached import cached_batches, encoded_for, read_cached
from contrastcxr.features.cache import encode_views
from contrastcxr.form import Author, Reading, Report
from contrastcxr.reading.reader import Reader
from tiny_system import save_tiny, tiny_config, tiny_study


def test_a_decoder_that_reads_the_indication_gets_it(tmp_path: Path) -> None:
    reader = Reader.from_checkpoint(save_tiny(tmp_path, tiny_config(decoder={"kind": "multi_attention"})))
    words = [word for word in ("the", "heart", "normal") if word in reader.tokenizer]
    assert words
    with_inputs = tiny_study("told", seed=1).model_copy(update={"indication": " ".join(words)})
    silent = tiny_study("silent", seed=2)
    kept, failures = encoded_for(reader, [with_inputs, silent], cache=tmp_path / "cache")
    assert failures == []
    (batch,) = cached_batches(reader, [with_inputs, silent], kept)
    assert batch.indication_ids is not None
    assert batch.indication_mask is not None
    assert batch.indication_ids[0][batch.indication_mask[0]].tolist() == [reader.tokenizer.id_of(w) for w in words]
    assert batch.indication_mask.any(dim=1).tolist() == [True, False]


def test_an_indication_that_is_the_impression_is_refused(tmp_path: Path) -> None:
    reader = Reader.from_checkpoint(save_tiny(tmp_path, tiny_config(decoder={"kind": "multi_attention"})))
    study = tiny_study("leaked")
    author = Author(kind="human", name="radiologist")
    written = Reading(study_id=study.study_id, author=author, report=Report(impression="No acute disease."))
    leaked = study.model_copy(update={"indication": " no acute  disease.", "readings": (written,)})
    with pytest.raises(DatasetError, match="the indication is the impression word for word"):
        read_cached(reader, [leaked], cache=tmp_path / "cache")


def test_other_decoders_get_none(tmp_path: Path) -> None:
    reader = Reader.from_checkpoint(save_tiny(tmp_path))
    study = tiny_study("told").model_copy(update={"indication": "the heart"})
    assert reader.system.encoder is not None
    kept, _ = encode_views(
        chosen_views([study], max_views=1),
        encoder=reader.system.encoder,
        preprocess=reader.preprocess,
        root=tmp_path,
    )
    (batch,) = cached_batches(reader, [study], kept)
    assert batch.indication_ids is None
    assert torch.is_tensor(batch.features)


def test_a_negative_is_found_by_what_the_cache_kept(tmp_path: Path) -> None:
    """Through the cache, one that an earlier version filled without thumbnails too, each view has its negative."""
    reader = Reader.from_checkpoint(save_tiny(tmp_path, tiny_config(contrast={"kind": "difference", "stage": 1})))
    studies = [tiny_study(f"s{n}", views=1 + n % 2, seed=n) for n in range(3)]
    wanted = [reader.read(study).evidence for study in studies]
    read, failures = read_cached(reader, studies, cache=tmp_path / "cache")
    assert failures == []
    for index in (tmp_path / "cache").glob("features/*/*.json"):
        said = json.loads(index.read_text(encoding="utf-8"))
        said.pop("thumbnails")
        index.write_text(json.dumps(said), encoding="utf-8")
    kept, _ = encoded_for(reader, studies, cache=tmp_path / "cache")
    found = [r for b in cached_batches(reader, studies, kept) for r in reader.read_features(b, evidence=True)]
    assert [each.evidence.negatives for each in found] == [each.negatives for each in wanted]
    assert len(read) == 3
