"""What every registered head must do, whatever slot of a system it fills."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from contrastcxr.decode.report import ReportSearch
from contrastcxr.decode.settings import GenerationSettings
from contrastcxr.errors import IncompatibleError
from contrastcxr.losses import SYSTEM_LOSSES
from contrastcxr.losses.base import Targets, Term
from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads import HEADS
from contrastcxr.models.heads.base import Head, IdentifyingHead, PartialReading
from contrastcxr.models.heads.decoders.base import ReportDecoder
from contrastcxr.models.heads.decoders.hierarchical import HierarchicalDecoder
from contrastcxr.models.heads.options import SLOTS, HeadOptions
from models.studies import filled, first_view, select
from models.tiny_heads import (
    BOS,
    EOS,
    FINDINGS,
    PAD,
    REPORTS,
    TARGETS,
    TINY,
    WIDTH,
    N,
    features_for,
    tiny_head,
)

KINDS = [(slot, kind) for slot, registry in HEADS.items() for kind in registry]
VARIANTS: list[tuple[str, str, dict[str, Any]]] = [
    ("decoder", "hlstm", {"pool": "max"}),
    ("decoder", "multi_attention", {"background": "none"}),
    ("localizer", "cam", {"pooling": "log_sum_exp", "transition": 8}),
    ("localizer", "cam", {"cuts": "tuned"}),
    ("localizer", "cam", {"marks": "regions"}),
    ("localizer", "gradcam", {"cuts": "tuned"}),
    ("localizer", "li2018", {"head": "single", "mil_floor": 0.0}),
    ("localizer", "li2018", {"box_loss": "li2018"}),
]
"""Options that change what a head is made of."""
CASES = [*((slot, kind, {}) for slot, kind in KINDS), *VARIANTS]
Case = tuple[str, str, dict[str, Any]]


def named(case: Case) -> str:
    return " ".join([case[1], *(f"{key}={value}" for key, value in case[2].items())])


every = pytest.mark.parametrize("case", CASES, ids=named)


def fresh(case: Case, *, seed: int = 0) -> Head:
    return tiny_head(case[0], case[1], seed=seed, **case[2])


def seen(case: Case) -> VisualFeatures:
    return features_for(case[1])


@torch.no_grad()
def answered(head: Head, features: VisualFeatures, *, method: str = "greedy") -> PartialReading:
    settings = GenerationSettings(method=method, max_tokens=8)  # type: ignore[arg-type]
    return head.answer(features, search=ReportSearch(settings, bos=BOS, eos=EOS, pad=PAD))


def terms_of(head: Head, features: VisualFeatures, targets: Targets = TARGETS) -> Mapping[str, Term]:
    return head.teach(features, targets).terms


def total(terms: Mapping[str, Term]) -> Tensor:
    return torch.stack([mean for mean, _ in terms.values()]).sum()


def tensors(answer: PartialReading) -> dict[str, Tensor]:
    """Everything that is answered, by name."""
    found: dict[str, Tensor | None] = {"probabilities": answer.probabilities}
    if answer.maps is not None:
        found |= {"heat": answer.maps.heat, "shown": answer.maps.shown, "cuts": torch.tensor(answer.maps.cuts)}
    if answer.regions is not None:
        found |= {name: getattr(answer.regions, name) for name in ("boxes", "weights", "views")}
    if answer.attributes is not None:
        found |= {"attributes": answer.attributes.probabilities, "attention": answer.attributes.attention}
    if answer.reports is not None:
        reports = answer.reports
        found |= {"words": reports.token_ids, "log_probs": reports.log_probs, "lengths": reports.lengths}
        found |= {"attention": reports.attention, **reports.plan}
    return {name: value for name, value in found.items() if value is not None}


def test_the_suite_covers_the_registries() -> None:
    assert {slot: set(kinds) for slot, kinds in TINY.items()} == {
        slot: set(kinds) for slot, kinds in HEADS.items()
    }
    assert tuple(HEADS) == SLOTS


@every
def test_it_is_what_it_was_built_as(case: Case) -> None:
    slot, kind, changes = case
    head = fresh(case)
    assert head.kind == kind
    assert type(head) is HEADS[slot][kind].load()
    assert type(head.options) is HEADS[slot][kind].options
    assert {name: getattr(head.options, name) for name in changes} == changes
    assert isinstance(head, ReportDecoder) is (slot == "decoder")


@every
def test_its_terms_are_finite_and_are_those_that_its_options_weigh(case: Case) -> None:
    head = fresh(case)
    terms = terms_of(head, seen(case))
    assert set(terms) == set(head.options.term_weights)
    for mean, count in terms.values():
        assert mean.shape == count.shape == ()
        assert mean.isfinite()
        assert mean > 0
        assert count > 0


@pytest.mark.parametrize("case", [(slot, kind, {}) for slot, kind in KINDS], ids=named)
def test_what_a_term_weighs_is_an_option(case: Case) -> None:
    options = fresh(case).options
    fields = [name for name in type(options).model_fields if name == "weight" or name.endswith("_weight")]
    for field in fields:
        changed = options.model_copy(update={field: 7.5}).term_weights
        assert [name for name, weight in changed.items() if weight == 7.5], f"{field} weighs no term"
    assert len(fields) >= len(set(options.term_weights) - {"word"})


def test_terms_of_heads_that_stand_together_have_different_names() -> None:
    def names(slot: str) -> set[str]:
        return {name for kind in HEADS[slot] for name in fresh((slot, kind, {})).options.term_weights}

    losses = {name: entry.options(kind=name).term_weights for name, entry in SYSTEM_LOSSES.items()}
    groups = [*map(names, HEADS), *map(set, losses.values())]
    assert not [one & other for one, other in itertools.combinations(groups, 2) if one & other]


@every
def test_gradient_reaches_every_parameter(case: Case) -> None:
    head = fresh(case)
    total(terms_of(head, seen(case))).backward()
    assert list(head.parameters())
    dead = [name for name, p in head.named_parameters() if p.grad is None or p.grad.abs().sum() == 0]
    assert dead == []


@every
def test_it_saves_and_loads_bit_equal(case: Case, tmp_path: Path) -> None:
    """With everything that is fitted or chosen after training."""
    head, other = fresh(case), fresh(case, seed=9)
    if isinstance(head, IdentifyingHead):
        head.set_temperature(1.7)
    if head.threshold is not None:
        head.threshold.set(float(head.threshold.candidates([seen(case)])[2]))
    save_file(head.state_dict(), tmp_path / "head.safetensors")
    other.load_state_dict(load_file(tmp_path / "head.safetensors"))
    assert torch.equal(total(terms_of(other, seen(case))), total(terms_of(head, seen(case))))
    ours, back = (tensors(answered(each, seen(case))) for each in (head, other))
    assert ours.keys() == back.keys()
    for name, value in ours.items():
        assert torch.equal(value.nan_to_num(), back[name].nan_to_num()), name


@every
def test_what_it_needs_is_missed(case: Case) -> None:
    with pytest.raises(IncompatibleError, match=r"needs|without"):
        fresh(case).teach(seen(case), Targets())


@every
def test_it_answers_what_its_slot_is_for_and_leaves_the_rest_open(case: Case) -> None:
    slot, answer = case[0], answered(fresh(case), seen(case))
    assert (answer.reports is not None) is (slot == "decoder")
    assert (answer.maps is not None or answer.regions is not None) is (slot == "localizer")
    assert (answer.probabilities is not None) is (slot != "decoder")
    if answer.probabilities is not None:
        names = FINDINGS if answer.regions is None else (answer.regions.finding,)
        assert answer.findings == names
        assert answer.probabilities.shape == (4, len(names))
        assert answer.probabilities.dtype == torch.float32
        assert ((answer.probabilities > 0) & (answer.probabilities < 1)).all()


def same(found: PartialReading, expected: PartialReading, rows: Tensor) -> None:
    """Patches are compared as far as both have them, and so are words: behind a report is padding."""
    ours, theirs = tensors(found), tensors(expected)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        other = theirs[name] if name == "cuts" else theirs[name][rows]
        common = tuple(slice(0, min(sizes)) for sizes in zip(value.shape, other.shape, strict=True))
        torch.testing.assert_close(value[common], other[common], atol=1e-4, rtol=1e-4, equal_nan=True, msg=name)


@every
@pytest.mark.parametrize("order", [[3, 1, 0, 2], [2], [1, 1, 0]], ids=["order", "alone", "repeated"])
def test_order_and_size_of_the_batch_change_no_answer(case: Case, order: list[int]) -> None:
    head, rows = fresh(case), torch.tensor(order)
    same(answered(head, select(seen(case), rows)), answered(head, seen(case)), rows)


@every
def test_absent_views_change_no_answer(case: Case) -> None:
    """Studies 1 and 3 have one view: cutting the padding off, or filling it with noise, changes nothing."""
    head, rows = fresh(case), torch.tensor([1, 3])
    features, expected = select(seen(case), rows), answered(head, seen(case))
    same(answered(head, first_view(features)), expected, rows)
    same(answered(head, filled(features, 7.0)), expected, rows)


def lesson_of(study: int) -> Targets:
    return Targets(
        **{
            name: value if not isinstance(value, Tensor) else value[study : study + 1]
            for name, value in vars(TARGETS).items()
        }
    )


@every
def test_what_is_taught_of_a_batch_is_the_mean_of_what_is_taught_of_each_study(case: Case) -> None:
    """Each term is a mean, beside the number of things it is the mean of: so that processes may share a batch."""
    head, features = fresh(case), seen(case)
    whole = terms_of(head, features)
    if case[1] == "cvse":  # its sentences stand against those of other studies
        return
    each = [terms_of(head, select(features, torch.tensor([b])), lesson_of(b)) for b in range(4)]
    for name, (mean, count) in whole.items():
        assert sum(int(terms[name][1]) for terms in each) == int(count)
        summed = sum(float(m.detach()) * int(c) for m, c in (terms[name] for terms in each))
        assert summed == pytest.approx(float(mean.detach()) * int(count), rel=1e-4)


@every
def test_states_are_those_of_every_real_word_where_a_decoder_has_any(case: Case) -> None:
    head, features = fresh(case), seen(case)
    assert head.teach(features, TARGETS).states is None  # nobody asked
    states = head.teach(features, TARGETS, states=True).states
    if not isinstance(head, ReportDecoder) or head.word_width is None:
        assert states is None
        return
    assert states is not None
    ends = () if isinstance(head, HierarchicalDecoder) else (EOS,)  # a plan ends by itself
    said = [b for b in range(4) for token in REPORTS[b, 1:].tolist() if token > EOS or token in ends]
    assert sorted(states.study.tolist()) == said
    assert states.words.shape == (len(said), head.word_width)
    assert states.patches.shape == (4, N, WIDTH)
    assert torch.equal(states.patch_mask, features.mask)
    assert states.words.grad_fn is not None


@pytest.mark.parametrize("kind", HEADS["decoder"])
def test_options_of_a_decoder_state_whether_it_has_a_state_for_each_word(kind: str) -> None:
    decoder = fresh(("decoder", kind, {}))
    assert isinstance(decoder, ReportDecoder)
    assert (decoder.word_width is not None) is decoder.options.word_states is (kind != "cvse")


@every
def test_states_do_not_change_what_is_taught(case: Case) -> None:
    head, features = fresh(case), seen(case)
    with_states = head.teach(features, TARGETS, states=True).terms
    assert torch.equal(total(with_states), total(terms_of(head, features)))


@every
def test_a_threshold_is_kept_in_the_weights_and_scored_by_what_validation_knows(case: Case) -> None:
    head = fresh(case)
    if head.threshold is None:
        return
    assert head.threshold.score in ("bleu4", "positive_f1", "auc", "iou")
    values = head.threshold.candidates([seen(case), seen(case)])
    assert len(values) > 1
    before = {name: value.clone() for name, value in head.state_dict().items()}
    head.threshold.set(float(values[1]))
    changed = [name for name, value in head.state_dict().items() if not torch.equal(value, before[name])]
    assert len(changed) == 1
    assert not dict(head.named_parameters()).keys() & set(changed)


@every
def test_sizes_and_divisors_that_options_state_are_sides_of_weights(case: Case) -> None:
    head = fresh(case)
    options = head.options
    assert isinstance(options, HeadOptions)
    sides = {side for value in head.state_dict().values() for side in value.shape}
    assert set(options.stated_sizes().values()) <= sides
    for option in options.divisors:
        odd = options.model_copy(update={**dict.fromkeys(options.divisors, 1), option: 3})
        with pytest.raises(IncompatibleError, match=rf"width {WIDTH} with decoder\.{option} 3"):
            odd.check_width(WIDTH, case[0])
    options.check_width(WIDTH, case[0])
    assert {*options.meaning, *options.sizes, *options.divisors} <= set(type(options).model_fields)
