from __future__ import annotations

import numpy as np
import pytest
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

from contrastcxr.metrics import text
from contrastcxr.metrics.bootstrap import study_weights

TEXT = "the heart is normal in size . lungs are clear without effusion or pneumothorax no focal mass"
WORDS = TEXT.split()


def corpus(seed: int = 0, studies: int = 40) -> tuple[list[str], list[str]]:
    """References and candidates that share words, runs of words and some whole reports."""
    rng = np.random.default_rng(seed)
    references = [" ".join(rng.choice(WORDS, rng.integers(3, 30))) for _ in range(studies)]
    candidates = []
    for reference in references:
        words = reference.split()
        cut = int(rng.integers(0, len(words)))
        candidates.append(" ".join(words[:cut] + list(rng.choice(WORDS, rng.integers(1, 12)))))
    return references, candidates


def keyed(texts: list[str]) -> dict[int, list[str]]:
    return {k: [t] for k, t in enumerate(texts)}


def test_bleu_equals_the_reference_program_exactly() -> None:
    references, candidates = corpus()
    expected, _ = Bleu(4).compute_score(keyed(references), keyed(candidates), verbose=0)
    assert text.bleu(references, candidates) == pytest.approx(expected, abs=1e-15, rel=0)


def test_bleu_of_every_replicate_equals_the_reference_program_on_the_repeated_studies() -> None:
    references, candidates = corpus(1)
    weights = study_weights([str(k) for k in range(40)], replicates=8)
    statistics = text.bleu_statistics(references, candidates)
    for order in (1, 4):
        found = text.bleu_statistic(statistics, order)(weights)
        for row, value in zip(weights.astype(int), found, strict=True):
            drawn = np.repeat(np.arange(40), row)
            program = Bleu(4).compute_score(
                keyed([references[k] for k in drawn]), keyed([candidates[k] for k in drawn]), verbose=0
            )
            assert value == pytest.approx(program[0][order - 1], abs=1e-14)


def test_short_candidates_pay_the_brevity_penalty_and_long_ones_do_not() -> None:
    assert text.bleu(["a b c d"], ["a b"])[0] == pytest.approx(np.exp(-1), rel=1e-6)
    assert text.bleu(["a b"], ["a b c d"])[0] == pytest.approx(0.5, rel=1e-6)


def test_rouge_and_cider_equal_the_reference_program() -> None:
    references, candidates = corpus(2)
    rouge, rouge_rows = Rouge().compute_score(keyed(references), keyed(candidates))
    cider, cider_rows = Cider().compute_score(keyed(references), keyed(candidates))
    assert text.rouge_l(references, candidates) == pytest.approx(rouge_rows)
    assert text.rouge_l(references, candidates).mean() == pytest.approx(rouge)
    assert text.cider(references, candidates) == pytest.approx(cider_rows)
    assert text.cider(references, candidates).mean() == pytest.approx(cider)


def test_an_empty_candidate_scores_nothing_and_is_no_error() -> None:
    references = ["the heart is normal", "lungs are clear"]
    assert text.bleu(references, ["", ""])[3] == 0.0
    assert text.rouge_l(references, ["", ""]).tolist() == [0.0, 0.0]
    assert text.cider(references, ["", ""]).tolist() == [0.0, 0.0]


def test_empty_references_give_zero_cider() -> None:
    assert text.cider(["", ""], ["a b", "c"]).tolist() == [0.0, 0.0]


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    references, candidates = corpus(3, studies=5)
    text.bleu(references, candidates)
    text.cider(references, candidates)
    text.rouge_l(references, candidates)
    assert capfd.readouterr() == ("", "")


def test_lists_that_do_not_pair_are_refused() -> None:
    with pytest.raises(ValueError, match="each study needs both"):
        text.bleu(["a"], [])


def test_tokens_keep_numbers() -> None:
    assert text.tokenise("A 1.2 cm Nodule.").startswith("a 1.2 cm nodule")
