"""What every registered decoder must do."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from contrastcxr.decode.report import ReportSearch
from contrastcxr.decode.settings import GenerationSettings
from contrastcxr.errors import UnknownNameError
from contrastcxr.losses.base import Targets
from contrastcxr.models.features import VisualFeatures, masked_mean
from contrastcxr.models.heads.build import build_decoder
from contrastcxr.models.heads.decoders import DECODERS
from contrastcxr.models.heads.decoders.base import ReportDecoder, TokenDecoder
from contrastcxr.models.heads.decoders.cvse import CvseDecoder
from contrastcxr.models.heads.decoders.hierarchical import HierarchicalDecoder, stop_log_prob
from contrastcxr.models.heads.decoders.outputs import taught_terms
from contrastcxr.models.heads.writing import GeneratedReports
from models.studies import select
from models.tiny_heads import BOS, EOS, PAD, REPORTS, STOP, TARGETS, WIDTH, N, V, tiny_features
from models.tiny_heads import TINY as TINY_HEADS

TINY = TINY_HEADS["decoder"]
TOKEN_DECODERS = sorted(
    name
    for name, options in TINY.items()
    if isinstance(build_decoder(name, vocabulary=V, width=WIDTH, **options), TokenDecoder)
)


def _fresh(name: str, **options: Any) -> ReportDecoder:
    torch.manual_seed(0)
    return build_decoder(name, vocabulary=V, width=WIDTH, **{**copy.deepcopy(TINY[name]), **options})


def _name(decoder: ReportDecoder) -> str:
    return decoder.kind


def _search(decoder: ReportDecoder, features: VisualFeatures, **settings: Any) -> GeneratedReports:
    chosen = GenerationSettings(**{"beams": 3, "max_tokens": 12, **settings})
    with torch.no_grad():
        return decoder.write(features, ReportSearch(chosen, bos=BOS, eos=EOS, pad=PAD))


def _loss(decoder: ReportDecoder, features: VisualFeatures, targets: Targets = TARGETS) -> Tensor:
    terms = taught_terms(decoder.outputs(features, targets))
    return torch.stack([mean for mean, _ in terms.values()]).sum()


@pytest.fixture(params=sorted(DECODERS))
def any_decoder(request: pytest.FixtureRequest) -> ReportDecoder:
    return _fresh(request.param).eval()


@pytest.fixture(params=TOKEN_DECODERS)
def decoder(request: pytest.FixtureRequest) -> TokenDecoder:
    chosen = _fresh(request.param).eval()
    assert isinstance(chosen, TokenDecoder)
    return chosen


@pytest.fixture(scope="module", params=sorted(DECODERS))
def fitted(request: pytest.FixtureRequest) -> ReportDecoder:
    """A decoder that has learnt the four reports by heart: random weights tie, these do not."""
    decoder, features = _fresh(request.param), tiny_features()
    optimizer = torch.optim.Adam(decoder.parameters(), lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        _loss(decoder, features).backward()
        optimizer.step()
    return decoder.eval()


def test_the_suite_covers_the_registry() -> None:
    assert set(TINY) == set(DECODERS)


def test_an_unknown_decoder_names_its_neighbour() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'transformer'"):
        build_decoder("transfomer", vocabulary=V, width=WIDTH)


def test_an_unknown_option_names_its_neighbour(any_decoder: ReportDecoder) -> None:
    name = _name(any_decoder)
    with pytest.raises(
        UnknownNameError, match=rf"unknown option of decoder {name} 'dropuot'; did you mean 'dropout'"
    ):
        build_decoder(name, vocabulary=V, width=WIDTH, **{**TINY[name], "dropuot": 0.1})


def test_teacher_forcing_gives_a_distribution_per_token(decoder: TokenDecoder) -> None:
    log_probs = decoder(tiny_features(), REPORTS)
    assert log_probs.shape == (4, 9, V)
    torch.testing.assert_close(log_probs.exp().sum(dim=-1), torch.ones(4, 9))


def test_gradient_reaches_every_parameter_and_the_features(any_decoder: ReportDecoder) -> None:
    features = tiny_features()
    patches = features.patches.requires_grad_()
    features = features.replace(patches=patches, pooled=masked_mean(patches, features.mask))
    _loss(any_decoder, features).backward()
    _assert_alive(any_decoder)
    assert patches.grad is not None
    assert patches.grad[0].abs().sum() > 0


def test_gradient_reaches_the_regions_that_hlstm_pools() -> None:
    decoder = _fresh("hlstm", pool="max")
    _loss(decoder, tiny_features()).backward()
    _assert_alive(decoder)


def _assert_alive(decoder: ReportDecoder) -> None:
    dead = [name for name, p in decoder.named_parameters() if p.grad is None or p.grad.abs().sum() == 0]
    assert dead == []


def test_it_saves_and_loads_bit_equal(any_decoder: ReportDecoder, tmp_path: Path) -> None:
    save_file(any_decoder.state_dict(), tmp_path / "d.safetensors")
    other = _fresh(_name(any_decoder)).eval()
    for value in other.state_dict().values():
        value.zero_()
    other.load_state_dict(load_file(tmp_path / "d.safetensors"))
    assert torch.equal(_loss(other, tiny_features()), _loss(any_decoder, tiny_features()))
    found, expected = _search(other, tiny_features()), _search(any_decoder, tiny_features())
    assert torch.equal(found.token_ids, expected.token_ids)
    assert torch.equal(found.log_probs.nan_to_num(), expected.log_probs.nan_to_num())


WITH_WORDS = [name for name in sorted(DECODERS) if DECODERS[name].options.word_probabilities]


def _drawn(decoder: ReportDecoder, index: Tensor, **settings: Any) -> GeneratedReports:
    """Twelve reports of the studies `index`, each from its own stream; guided, against the studies backwards."""
    features = tiny_features()
    chosen = GenerationSettings(**{"max_tokens": 12, **settings})
    normals = select(select(features, torch.arange(3, -1, -1)), index) if chosen.guidance else None
    streams = [torch.Generator().manual_seed(seed) for seed in range(12)]
    search = ReportSearch(chosen, bos=BOS, eos=EOS, pad=PAD, generators=streams, normals=normals)
    with torch.no_grad():
        return decoder.write(select(features, index), search)


@pytest.mark.parametrize("guidance", [0.0, 0.4])
@pytest.mark.parametrize("name", WITH_WORDS)
def test_several_reports_of_a_study_are_those_that_it_gets_one_by_one(name: str, guidance: float) -> None:
    decoder, every = _fresh(name).eval(), torch.arange(4)
    found = _drawn(decoder, every, method="votes", samples=3, guidance=guidance)
    alone = _drawn(decoder, every.repeat_interleave(3), method="nucleus", top_p=1.0, guidance=guidance)
    assert torch.equal(found.token_ids, alone.token_ids)
    assert torch.equal(found.lengths, alone.lengths)
    torch.testing.assert_close(found.log_probs, alone.log_probs, atol=1e-4, rtol=1e-4)
    assert len(found.ended) == 12
    assert all(len(values) == 12 for values in found.plan.values())


@pytest.mark.parametrize("method", ["greedy", "beam"])
@pytest.mark.parametrize("name", WITH_WORDS)
def test_guidance_by_the_picture_itself_lets_the_most_probable_words_be(name: str, method: str) -> None:
    """Against itself a distribution is flattened and keeps its order, so that a greedy search finds the same."""
    decoder, features = _fresh(name).eval(), tiny_features()
    settings = GenerationSettings(method=method, beams=1, max_tokens=12, guidance=0.5)
    guided = ReportSearch(settings, bos=BOS, eos=EOS, pad=PAD, normals=features)
    plain = ReportSearch(settings.model_copy(update={"guidance": 0.0}), bos=BOS, eos=EOS, pad=PAD)
    with torch.no_grad():
        found, expected = decoder.write(features, guided), decoder.write(features, plain)
    assert torch.equal(found.token_ids, expected.token_ids)


def test_stepping_equals_teacher_forcing(decoder: TokenDecoder) -> None:
    features = tiny_features()
    expected = decoder(features, REPORTS)
    state = decoder.start(features)
    for place in range(REPORTS.shape[1] - 1):
        output = decoder.step(REPORTS[:, place], state)
        torch.testing.assert_close(output.log_probs, expected[:, place], atol=1e-4, rtol=1e-4)
        state = output.state


def _walk(decoder: TokenDecoder, state: Any, tokens: list[Tensor]) -> Tensor:
    output = None
    for token in tokens:
        output = decoder.step(token, state)
        state = output.state
    assert output is not None
    return output.log_probs


def test_rows_may_be_repeated_reordered_and_dropped_between_steps(decoder: TokenDecoder) -> None:
    """A tangle of selections gives each row what its own prefix gives when walked alone."""
    features, generator = tiny_features(), torch.Generator().manual_seed(3)
    state, study, prefix = decoder.start(features), torch.arange(4), torch.full((4, 1), BOS)
    for step in range(9):
        output = decoder.step(prefix[:, -1], state)
        rows = 8 if step < 5 else 3
        index = torch.randint(len(study), (rows,), generator=generator)
        state, study = output.state.select(index), study[index]
        tokens = torch.randint(3, V, (rows, 1), generator=generator)
        prefix = torch.cat([prefix[index], tokens], dim=1)
    found = decoder.step(prefix[:, -1], state).log_probs
    for row in range(len(study)):
        alone = decoder(select(features, study[row : row + 1]), torch.cat([prefix[row], prefix[row, :1]])[None])
        torch.testing.assert_close(found[row], alone[0, -1], atol=1e-4, rtol=1e-4)


def test_a_state_is_a_value_that_two_continuations_may_share(decoder: TokenDecoder) -> None:
    state = decoder.step(REPORTS[:, 0], decoder.start(tiny_features())).state
    first, second = torch.full((4,), 5), torch.full((4,), 9)
    expected = _walk(decoder, state, [first, first])
    branch = decoder.step(first, state).state
    _walk(decoder, state, [second, second])
    turned = _walk(decoder, state.select(torch.tensor([3, 2, 1, 0])), [second])
    torch.testing.assert_close(turned, _walk(decoder, state, [second]).flip(0))
    torch.testing.assert_close(_walk(decoder, branch, [first]), expected)
    torch.testing.assert_close(_walk(decoder, state, [first, first]), expected)


def test_attention_is_a_share_of_real_patches(decoder: TokenDecoder) -> None:
    features = tiny_features()
    attention = decoder.step(REPORTS[:, 0], decoder.start(features)).attention
    if attention is None:
        return
    torch.testing.assert_close(attention.sum(dim=-1), torch.ones(4))
    assert attention[~features.mask].eq(0).all()


def test_padding_behind_a_report_changes_nothing(any_decoder: ReportDecoder) -> None:
    longer = torch.cat([REPORTS, torch.full((4, 5), PAD)], dim=1)
    padded = Targets(longer, longer[:, 1:] != PAD, TARGETS.abnormal, TARGETS.tags)
    found, expected = any_decoder.outputs(tiny_features(), padded), any_decoder.outputs(tiny_features(), TARGETS)
    if found.log_probs is not None and expected.log_probs is not None:
        assert torch.equal(torch.as_tensor(found.words), torch.as_tensor(expected.words))
        torch.testing.assert_close(found.log_probs, expected.log_probs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        _loss(any_decoder, tiny_features(), padded), _loss(any_decoder, tiny_features()), atol=1e-5, rtol=1e-5
    )


def test_what_it_says_of_its_own_report_is_what_teaching_says(fitted: ReportDecoder) -> None:
    """The log-probability of a written report is the sum of its words' and of where it stopped."""
    features, found = tiny_features(), _search(fitted, tiny_features())
    if isinstance(fitted, CvseDecoder):
        assert found.log_probs.isnan().all()  # it has no probability of a word
        return
    for row in range(4):
        one = torch.tensor([row])
        ids = found.token_ids[row, : found.lengths[row]]
        report = torch.cat([torch.tensor([BOS]), ids, torch.tensor([EOS])])[None]
        word_inputs = fitted.outputs(
            select(features, one),
            Targets(report, torch.ones(1, len(ids) + 1).bool(), _flags(found, row), TARGETS.tags),
        )
        assert word_inputs.log_probs is not None
        assert word_inputs.words is not None
        total = word_inputs.log_probs.gather(1, word_inputs.words.unsqueeze(1)).sum()
        if word_inputs.stop is not None:
            logits, last = word_inputs.stop
            total = total - torch.nn.functional.binary_cross_entropy_with_logits(logits, last, reduction="sum")
        torch.testing.assert_close(found.log_probs[row], total, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_sampled_plan_is_taught_as_it_was_planned(any_decoder: ReportDecoder) -> None:
    """Sentences that were cut have no mark, so that splitting the report again would move the later ones up."""
    if not isinstance(any_decoder, HierarchicalDecoder):
        return
    torch.manual_seed(5)
    found = _search(any_decoder, tiny_features(), method="nucleus", top_p=1.0, max_tokens=40)
    marks = (found.token_ids == STOP).sum(dim=1)
    assert (marks < found.plan["sentences"]).any()  # cut at six words
    mask = torch.arange(found.token_ids.shape[1]) < found.lengths.unsqueeze(1)
    ids = torch.cat([torch.full((4, 1), BOS), found.token_ids.masked_fill(~mask, PAD)], dim=1)
    flags = None if "abnormal" not in found.plan else found.plan["abnormal"] > 0.5
    targets = Targets(ids, mask, flags, TARGETS.tags, sentence=found.plan["sentence"])
    word_inputs = any_decoder.split(targets)
    wanted = [(b, s) for b in range(4) for s in sorted(set(found.plan["sentence"][b][mask[b]].tolist()))]
    assert list(zip(word_inputs.study.tolist(), word_inputs.place.tolist(), strict=True)) == wanted
    taught = any_decoder.outputs(tiny_features(), targets)
    assert taught.log_probs is not None
    assert taught.words is not None
    words = taught.log_probs.gather(1, taught.words.unsqueeze(1)).sum()
    stops = stop_log_prob(any_decoder.plan(tiny_features(), 4).stop, found.plan["sentences"]).sum()
    empty = int(found.plan["sentences"].sum()) - len(wanted)
    assert empty == 0  # one without a word would have a log-probability that no word is taught
    torch.testing.assert_close(found.log_probs.sum(), words + stops, atol=1e-3, rtol=1e-4)


def _flags(found: GeneratedReports, row: int) -> Tensor | None:
    said = found.plan.get("abnormal")
    return None if said is None else said[row : row + 1] > 0.5


def test_it_learns_four_reports_by_heart(fitted: ReportDecoder) -> None:
    for method in ("greedy", "beam"):
        found = _search(fitted, tiny_features(), method=method)
        assert found.ended.all()
        for row in range(4):
            words = REPORTS[row][REPORTS[row] > EOS].tolist()
            if isinstance(fitted, CvseDecoder):  # it knows no normal sentence, and says one in any case
                words = {0: [7, 8, STOP], 1: [10, 11, 12, STOP], 3: [14, 15, 16, STOP]}.get(row, [])
            assert found.token_ids[row, : found.lengths[row]].tolist()[: len(words)] == words
            assert isinstance(fitted, CvseDecoder) or found.lengths[row] == len(words)


def _same(found: GeneratedReports, expected: GeneratedReports, rows: Tensor) -> None:
    T = min(found.token_ids.shape[1], expected.token_ids.shape[1])
    assert torch.equal(found.token_ids[:, :T], expected.token_ids[rows][:, :T])
    assert torch.equal(found.lengths, expected.lengths[rows])
    torch.testing.assert_close(found.log_probs, expected.log_probs[rows], atol=1e-4, rtol=0, equal_nan=True)


@pytest.mark.parametrize("order", [[3, 1, 0, 2], [2], [0, 0, 1]], ids=["order", "alone", "repeated"])
def test_order_and_size_of_the_batch_change_nothing(fitted: ReportDecoder, order: list[int]) -> None:
    rows = torch.tensor(order)
    _same(_search(fitted, select(tiny_features(), rows)), _search(fitted, tiny_features()), rows)


def test_absent_views_change_nothing(fitted: ReportDecoder) -> None:
    """Studies 1 and 3 have one view: cutting the padding off, or filling it with noise, gives the same report."""
    rows = torch.tensor([1, 3])
    features, expected = select(tiny_features(), rows), _search(fitted, tiny_features())
    half = N // 2
    cut = features.replace(patches=features.patches[:, :half], mask=features.mask[:, :half])
    noise = features.patches.masked_fill(~features.mask.unsqueeze(-1), 7.0)
    _same(_search(fitted, cut), expected, rows)
    _same(_search(fitted, features.replace(patches=noise)), expected, rows)


def test_bfloat16_autocast_is_safe(fitted: ReportDecoder) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = _search(fitted, tiny_features())
        loss = _loss(fitted, tiny_features())
    assert isinstance(fitted, CvseDecoder) or found.log_probs.isfinite().all()
    assert loss.isfinite()


def test_a_module_cast_to_bfloat16_reads(fitted: ReportDecoder) -> None:
    name = _name(fitted)
    rough = build_decoder(name, vocabulary=V, width=WIDTH, **TINY[name])
    rough.load_state_dict(fitted.state_dict())
    rough = rough.to(torch.bfloat16).eval()
    features = tiny_features()
    half = features.replace(patches=features.patches.bfloat16(), pooled=features.pooled.bfloat16())
    found = _search(rough, half)
    assert isinstance(fitted, CvseDecoder) or found.log_probs.isfinite().all()
    assert found.lengths.gt(0).all()


@pytest.mark.parametrize("kind", sorted(k for k, entry in DECODERS.items() if entry.options.word_probabilities))
@pytest.mark.parametrize("marked", [True, False])
def test_each_forced_word_knows_its_sentence(kind: str, *, marked: bool) -> None:
    """In plain loops: a mark ends its sentence, the end of a report is in none."""
    plans = "sentences" in TINY[kind]
    if plans and not marked:
        return  # refuses such a vocabulary
    decoder = _fresh(kind, sentence_end=STOP if marked else None, end_of_report=EOS).eval()
    outputs = decoder.forced_words(tiny_features(), TARGETS)
    wanted = []
    for study, ids in enumerate(REPORTS.tolist()):
        sentence = 0
        for token in ids[1:]:
            if token != PAD and not (plans and token == EOS):
                wanted.append((study, -1 if token == EOS else sentence, token))
            sentence += marked and token == STOP
    assert outputs.study is not None
    assert outputs.sentence is not None
    assert outputs.words is not None
    parts = (outputs.study, outputs.sentence, outputs.words)
    found = list(zip(*(part.tolist() for part in parts), strict=True))
    assert sorted(found) == sorted(wanted)
    assert len(outputs.chosen()) == len(wanted)
