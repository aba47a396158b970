"""The second stage of training: sampled reports against greedy ones, by CIDEr-D (after Rennie 2017)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from contrastcxr.decode.report import ReportSearch
from contrastcxr.decode.settings import GenerationSettings
from contrastcxr.features.batch import Batch
from contrastcxr.losses.base import Targets, needed
from contrastcxr.losses.reinforce import self_critical
from contrastcxr.metrics.cider_d import CiderD
from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.decoders.base import ReportDecoder
from contrastcxr.models.heads.writing import GeneratedReports
from contrastcxr.models.system import System
from contrastcxr.text.tokenizer import Tokenizer

REWARDS = ("sampled_cider", "greedy_cider")
"""Mean rewards, CIDEr-D from 0 to 10, that the log of a second stage shows."""


@dataclass(frozen=True, eq=False)
class SelfCritical:
    """Rewards what a system would write; dropout is off, so that what is sampled is what is learnt (ours).

    Attributes:
        tokenizer: of the reports.
        reward: CIDEr-D with the document frequencies of the training reports.
        reports: those reports as they are written, by study.
        max_tokens: the most tokens of a report.
    """

    tokenizer: Tokenizer
    reward: CiderD
    reports: Mapping[str, str]
    max_tokens: int

    def terms(self, system: System, features: VisualFeatures, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
        """Return `scst`, the mean over the batch's studies, and their number.

        Beside it the mean rewards, for the log.
        """
        decoder, tokens = (
            _decoder(system),
            needed(batch.token_ids, "a second stage needs reports to be rewarded by"),
        )
        training = decoder.training
        decoder.eval()
        sampled = self._written(decoder, features, GenerationSettings(method="nucleus", top_p=1.0, **self._limits))
        greedy = self._written(decoder, features, GenerationSettings(method="greedy", **self._limits))
        with torch.backends.cudnn.flags(enabled=False):  # cuDNN differentiates no LSTM that is evaluated
            taught = decoder.outputs(features, self._targets(sampled, batch))
        decoder.train(training)
        references = [self.reports[study] for study in batch.study_ids]
        rewards = [
            torch.as_tensor(self.reward(references, self._texts(found.token_ids)), dtype=torch.float32)
            for found in (sampled, greedy)
        ]
        gain = (rewards[0] - rewards[1]).to(tokens.device)
        assert taught.study is not None  # a decoder with words
        loss, count = self_critical(taught.chosen(), taught.study, gain)
        return {
            "scst": (loss, count),
            **{name: (reward.mean(), count) for name, reward in zip(REWARDS, rewards, strict=True)},
        }

    @property
    def _limits(self) -> dict[str, int]:
        return {"max_tokens": self.max_tokens}

    @torch.no_grad()
    def _written(
        self, decoder: ReportDecoder, features: VisualFeatures, settings: GenerationSettings
    ) -> GeneratedReports:
        special = self.tokenizer.special
        search = ReportSearch(settings, bos=special.bos, eos=special.eos, pad=special.pad)
        return decoder.write(features, search)

    def _targets(self, found: GeneratedReports, batch: Batch) -> Targets:
        """Return the written reports as something to be taught; EOS counts where the report ended with it."""
        special, ids = self.tokenizer.special, found.token_ids
        B, T = ids.shape
        places = torch.arange(T + 1, device=ids.device)
        whole = torch.cat([ids, ids.new_full((B, 1), special.pad)], dim=1)  # [B, T+1]
        whole = torch.where(places == found.lengths.unsqueeze(1), special.eos, whole)
        mask = places < (found.lengths + found.ended.long()).unsqueeze(1)
        said, sentence = found.plan.get("abnormal"), found.plan.get("sentence")
        return Targets(
            token_ids=torch.cat([ids.new_full((B, 1), special.bos), whole], dim=1),
            mask=mask,
            abnormal=None if said is None else said > 0.5,
            tags=batch.tags,
            sentence=None if sentence is None else torch.cat([sentence, sentence.new_zeros(B, 1)], dim=1),
        )

    def _texts(self, token_ids: Tensor) -> Sequence[str]:
        """Return what is rewarded: an unknown word stands for none, and must not pass for a rare one."""
        return [self.tokenizer.decode(row, unknown="") for row in token_ids.tolist()]


def _decoder(system: System) -> ReportDecoder:
    assert system.decoder is not None  # `check_pairs` refuses a second stage without one
    return system.decoder
