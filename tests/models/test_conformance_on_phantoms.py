"""Every decoder learns four phantom studies, pictures in, to their exact reports: `make slow`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from contrastcxr import phantom
from contrastcxr.decode.report import ReportSearch
from contrastcxr.decode.settings import GenerationSettings
from contrastcxr.form import Study
from contrastcxr.losses.base import Targets
from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.build import build_decoder
from contrastcxr.models.heads.decoders import DECODERS
from contrastcxr.models.heads.decoders.base import ReportDecoder
from contrastcxr.models.heads.decoders.outputs import taught_terms
from contrastcxr.models.projection import PatchProjection
from contrastcxr.phantom.corpus import draw_studies
from contrastcxr.text.tokenizer import Tokenizer

SIDE, PATCH, WIDTH, STEPS = 64, 16, 32, 400
RETRIEVES = "cvse"
"""It says sentences of training reports and no report of its own."""
RECURRENT = {"dropout": 0.0}
STACKED = {"layers": 1, "heads": 4, "feed_forward": 32, "dropout": 0.0}
SMALL: dict[str, dict[str, Any]] = {"transformer": STACKED, "r2gen": {**STACKED, "memory_heads": 4}}
PLANS = ("hlstm", "hlstm_dual", "co_attention", "multi_attention")


@pytest.fixture(scope="module")
def studies() -> list[Study]:
    return draw_studies("standard", split="train", limit=4)


def reports(studies: list[Study]) -> list[str]:
    return [study.readings[0].report.findings or "" for study in studies]


def raw_patches(studies: list[Study]) -> Tensor:
    """Grey values `[B, 1, N, C]` of each frontal picture, square by square; C is the pixels of a square."""
    drawn = [phantom.render_locator(study.views[0].locator or "", size=SIDE) for study in studies]
    pictures = torch.from_numpy(np.stack(drawn)).unsqueeze(1)  # [B, 1, S, S]
    squares = torch.nn.functional.unfold(pictures, PATCH, stride=PATCH).transpose(1, 2)  # [B, N, C]
    return (squares - squares.mean()).div(squares.std()).unsqueeze(1)


def targets_of(texts: list[str], tokenizer: Tokenizer) -> Targets:
    ids = [torch.tensor(tokenizer.encode(text)) for text in texts]
    lengths = torch.tensor([len(row) for row in ids])
    padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=tokenizer.special.pad)
    mask = torch.arange(padded.shape[1] - 1) < (lengths - 1).unsqueeze(1)
    abnormal = torch.zeros(len(ids), 12, dtype=torch.bool)
    abnormal[:, ::2] = True
    return Targets(padded, mask, abnormal=abnormal, tags=torch.eye(len(ids), 5))


def make(name: str, tokenizer: Tokenizer) -> ReportDecoder:
    options = SMALL.get(name, RECURRENT)
    if name in PLANS:
        marks = {"sentence_end": tokenizer.id_of("."), "end_of_report": tokenizer.special.eos}
        options = {**options, **marks, "sentences": 12, "words": 40}
    if name == "co_attention":
        options = {**options, "tag_count": 5}
    return build_decoder(name, vocabulary=len(tokenizer), width=WIDTH, **options)


def written(decoder: ReportDecoder, features: VisualFeatures, tokenizer: Tokenizer) -> list[str]:
    special = tokenizer.special
    search = ReportSearch(
        GenerationSettings(beams=3, max_tokens=200), bos=special.bos, eos=special.eos, pad=special.pad
    )
    with torch.no_grad():
        found = decoder.eval().write(features, search)
    decoder.train()
    rows = zip(found.token_ids, found.lengths.tolist(), strict=True)
    return [tokenizer.decode(ids[:length].tolist()) for ids, length in rows]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in DECODERS if name != RETRIEVES])
def test_four_phantom_studies_are_learnt_to_their_exact_reports(name: str, studies: list[Study]) -> None:
    texts = reports(studies)
    assert len(set(texts)) == 4
    tokenizer = Tokenizer.train(texts, min_count=1)
    raw, targets = raw_patches(studies), targets_of(texts, tokenizer)
    views = torch.ones(4, 1, dtype=torch.bool)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        projection, decoder = PatchProjection(raw.shape[-1], WIDTH, "linear"), make(name, tokenizer)
        optimizer = torch.optim.Adam([*projection.parameters(), *decoder.parameters()], lr=1e-2)
        for step in range(1, STEPS + 1):
            optimizer.zero_grad()
            terms = taught_terms(decoder.outputs(projection(raw, views), targets))
            torch.stack([mean for mean, _ in terms.values()]).sum().backward()
            optimizer.step()
            if step % 50 == 0 and written(decoder, projection(raw, views), tokenizer) == texts:
                return
    assert written(decoder, projection(raw, views), tokenizer) == texts
