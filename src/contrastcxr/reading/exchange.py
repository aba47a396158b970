"""How well a system foresees the words of the references, with its own pictures and with those of other patients.

No search is in it: a decoder that looks at no picture foresees the words of a report as well from another's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contrastcxr.features.batch import Batch, Sample
from contrastcxr.features.extraction import batch_features, batch_targets
from contrastcxr.features.targets import abnormal_sentences
from contrastcxr.form import Study
from contrastcxr.models.system import System
from contrastcxr.text.labeler import default_labeler
from contrastcxr.text.tokenizer import Tokenizer

Load = Callable[[Study, int], Sample]
WordLosses = NDArray[np.float64]
"""`[S, 4]`: the summed negative log-probability (nats) and the number of words of the sentences of each study that
name an abnormality, and both of the other sentences. The end of a report is no word."""


def foresees_words(system: System) -> bool:
    """Return whether the system has a decoder that gives each word a probability."""
    return system.decoder is not None and system.decoder.options.word_probabilities


@torch.no_grad()
def word_losses(system: System, batch: Batch) -> WordLosses:
    """Return what the system makes of the reports of a batch by teacher forcing, in eval mode, `[B, 4]`.

    Sentences beyond those that a decoder plans are not counted.

    Args:
        system: with a decoder that `foresees_words`.
        batch: its studies have `token_ids`, and `abnormal`, which of their sentences name an abnormality.
    """
    decoder, training = system.decoder, system.training
    assert decoder is not None  # see `foresees_words`
    system.eval()
    here = batch.to(system.device)
    said = decoder.forced_words(batch_features(system, here), batch_targets(here))
    system.train(training)
    assert said.study is not None  # a decoder with words
    assert said.sentence is not None
    assert here.abnormal is not None
    counted = said.sentence >= 0  # [M]
    study, sentence, losses = (each[counted] for each in (said.study, said.sentence, -said.chosen().double()))
    abnormal = here.abnormal[study, sentence]
    parts = [_sums(study, losses, kind, studies=len(batch)) for kind in (abnormal, ~abnormal)]
    found: WordLosses = torch.cat(parts, dim=1).cpu().numpy()
    return found


def _sums(study: Tensor, losses: Tensor, chosen: Tensor, *, studies: int) -> Tensor:
    """Return the sum and the number `[B, 2]` of the `losses [M]` of each study where `chosen [M]` is True."""
    each = torch.stack([losses, torch.ones_like(losses)], dim=1)[chosen]  # [K, 2]
    return torch.zeros(studies, 2, dtype=each.dtype, device=each.device).index_add(0, study[chosen], each)


def with_report(sample: Sample, report: str, tokenizer: Tokenizer, *, max_tokens: int) -> Sample:
    """Return the sample with a report that is to be foreseen, cut to `max_tokens` ids, and its sentence flags."""
    ids = tokenizer.encode(report, max_tokens=max_tokens)
    flags = abnormal_sentences(ids, tokenizer, default_labeler())
    return replace(sample, token_ids=torch.tensor(ids), abnormal=flags)


def exchange_order(patients: Sequence[str], *, seed: int = 0) -> tuple[int, ...] | None:
    """Return for each study another one, of another patient, each study once; None where there is no such order.

    Studies in an order by chance, those of a patient side by side, are moved on by as many places as the patient
    with the most studies has. There is none where more than half of the studies are of one patient.
    """
    generator = np.random.default_rng(seed)
    names, group = np.unique(np.asarray(patients), return_inverse=True)
    most = int(np.bincount(group).max(initial=0))
    if not len(patients) or 2 * most > len(patients):
        return None
    order = np.lexsort((generator.permutation(len(patients)), generator.permutation(len(names))[group]))
    other = np.empty(len(patients), dtype=np.int64)
    other[order] = np.roll(order, -most)
    return tuple(other.tolist())


def patients_of(studies: Sequence[Study]) -> list[str]:
    """Return the patient of each study, or the study where none is known."""
    return [study.patient_id or study.study_id for study in studies]


@dataclass(frozen=True, eq=False)
class ExchangedPictures:
    """Samples of studies whose pictures are another's; with a picture goes its patient, who is left out of a pool.

    Attributes:
        load: the sample of a study and its place, with its own pictures.
        studies: S studies.
        order: whose pictures each has, by place.
    """

    load: Load
    studies: Sequence[Study]
    order: Sequence[int]

    def __call__(self, study: Study, index: int) -> Sample:
        """Return the sample of the study at `index`."""
        other = self.order[index]
        return replace(self.load(self.studies[other], other), study_id=study.study_id)
