"""Everything a system can be built from, and every checkpoint that is there."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from contrastcxr.catalogue import KINDS, OURS, PLACES, CatalogueEntry, describe, known
from contrastcxr.checkpoint import save_checkpoint
from contrastcxr.config import SystemConfig
from contrastcxr.errors import UnknownNameError
from contrastcxr.models.contrast.pool import POOL_KINDS
from contrastcxr.models.heads import HEADS
from contrastcxr.models.heads.options import SLOTS
from contrastcxr.models.options import ENCODERS
from tiny_system import tiny_checkpoint, tiny_config


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder where checkpoints are looked for."""
    monkeypatch.setenv("CONTRASTCXR_MODELS", str(tmp_path))
    monkeypatch.setattr("contrastcxr.files.model_folders", lambda: (tmp_path,))
    return tmp_path


def of_kind(kind: str) -> dict[str, CatalogueEntry]:
    return {entry.name: entry for entry in known() if entry.kind == kind}


def test_every_part_of_the_registries_has_one_entry() -> None:
    for slot, registry in HEADS.items():
        assert set(of_kind(KINDS[slot])) == set(registry)
    assert set(of_kind("encoder")) == {*ENCODERS, "any other of timm"}
    assert set(of_kind("pool")) == set(POOL_KINDS)
    counts = Counter((entry.kind, entry.name) for entry in known())
    assert max(counts.values()) == 1


def test_kinds_come_in_the_order_in_which_a_system_is_built() -> None:
    kinds = list(dict.fromkeys(entry.kind for entry in known()))
    assert kinds[:6] == ["aligner", "encoder", "contrast", "pool", "decoder", "findings"]
    assert kinds[6] == "localizer"


@pytest.mark.usefixtures("models")
def test_each_entry_says_its_paper_and_licence() -> None:
    for entry in known():
        assert entry.paper, entry
        assert entry.licence, entry


def test_heads_are_registered_by_the_slots_that_a_system_has() -> None:
    assert tuple(HEADS) == SLOTS
    assert set(SLOTS) <= set(SystemConfig.model_fields)


def test_every_part_of_ours_has_our_licence() -> None:
    assert {e.licence for e in known() if e.kind in ("contrast", "pool", *KINDS.values())} == {OURS}


def test_every_class_that_is_registered_is_there_and_states_its_kind() -> None:
    for registry in HEADS.values():
        for name, entry in registry.items():
            assert entry.load().__name__ in entry.place
            assert (
                entry.options.model_fields.get("kind") is None
                or entry.options.model_fields["kind"].default == name
            )


def test_a_decoder_says_the_other_name_it_goes_by() -> None:
    decoders = of_kind("decoder")
    others = {entry.also: name for name, entry in decoders.items() if entry.also}
    assert others == {"st": "visual_attention", "topdown": "up_down", "hcr": "co_attention", "mdt": "r2gen"}


@pytest.mark.usefixtures("models")
def test_without_a_model_folder_there_is_no_checkpoint() -> None:
    assert of_kind("checkpoint") == {}


def test_a_checkpoint_is_listed_with_the_licences_of_what_it_was_made_from(models: Path) -> None:
    save_checkpoint(models / "mine.safetensors", tiny_checkpoint(), dtype="float32")
    paper = tiny_config(paper="Vinyals 2015")
    save_checkpoint(models / "theirs.safetensors", tiny_checkpoint(paper), dtype="float32")
    bare = replace(tiny_checkpoint(), sources=())
    save_checkpoint(models / "run" / "run.safetensors", bare, dtype="float32")
    found = of_kind("checkpoint")
    assert {name: (entry.paper, entry.licence) for name, entry in found.items()} == {
        "mine": ("ours", "phantom: Apache-2.0"),
        "theirs": ("Vinyals 2015", "phantom: Apache-2.0"),
        "run": ("ours", "not stated"),
    }


def test_a_damaged_checkpoint_is_listed_with_its_error_and_hides_no_other(models: Path) -> None:
    (models / "broken.safetensors").write_bytes(b"no tensors")
    save_checkpoint(models / "mine.safetensors", tiny_checkpoint(), dtype="float32")
    found = of_kind("checkpoint")
    assert set(found) == {"broken", "mine"}
    assert found["broken"].paper == "unreadable"
    assert "broken.safetensors" in found["broken"].licence


PARTS = [entry for entry in known() if entry.kind != "checkpoint"]


@pytest.mark.parametrize("entry", PARTS, ids=lambda entry: entry.name)
def test_every_part_is_described_with_paper_licence_and_its_options(entry: CatalogueEntry) -> None:
    found = describe(entry.name)
    assert (found.kind, found.name, found.paper, found.licence, found.also) == (
        *(entry.kind, entry.name, entry.paper, entry.licence, entry.also),
    )
    assert found.summary
    assert found.options
    assert all(option.name.startswith(f"{PLACES[entry.kind]}.") for option in found.options)
    assert not entry.also or describe(entry.also) == found


def test_a_decoder_has_the_options_of_its_own_class() -> None:
    by_name = {option.name: option for option in describe("mdt").options}
    assert by_name["decoder.memory_slots"].default == "3"
    assert by_name["decoder.memory_slots"].values == "whole number, at least 1, at most 256"
    assert by_name["decoder.memory_slots"].description == "rows of the memory"
    assert "decoder.hidden" not in by_name


def test_a_part_is_found_by_its_place_too_with_the_options_inside_it() -> None:
    assert describe("contrastive attention") == describe("attention")
    assert describe("contrast").summary
    assert describe("finding_head") == describe("finding head")
    assert {"contrast.repeats", "contrast.pool.size"} <= {option.name for option in describe("attention").options}
    assert describe("optimizer") == describe("train.optimizer")
    assert {"train.monitor", "train.optimizer.lr"} <= {option.name for option in describe("train").options}
    assert [option.name for option in describe("system").options] == ["name", "paper", "width"]
    assert [option.name for option in describe("localizer").options] == ["localizer.kind"]
    assert "cam" in describe("localizer").options[0].values


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("transfomer", "transformer"),
        ("camm", "cam"),
        ("topdwn", "topdown"),
        ("train.optimiser", "train.optimizer"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name: str, near: str) -> None:
    with pytest.raises(UnknownNameError, match=f"unknown part '{name}'; did you mean '{near}'\\?"):
        describe(name)


def test_no_name_is_the_name_of_a_part() -> None:
    with pytest.raises(UnknownNameError):
        describe("")


def test_a_checkpoint_is_described_without_options(models: Path) -> None:
    save_checkpoint(models / "mine.safetensors", tiny_checkpoint(), dtype="float32")
    found = describe("mine")
    assert (found.kind, found.licence, found.options) == ("checkpoint", "phantom: Apache-2.0", ())
