"""What a study asks of a model beside its words: labels, tags, which sentences are abnormal; and what it tells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from contrastcxr.data.authors import COMPLETE, label_reading
from contrastcxr.form import Reading, Study
from contrastcxr.text.tokenizer import Tokenizer
from contrastcxr.vocab.attribute_words import AttributeList
from contrastcxr.vocab.labels import NO_FINDING, SUPPORT_DEVICES, to_chexpert

if TYPE_CHECKING:
    from contrastcxr.text.labeler import Labeler

INDICATION_TOKENS = 40
"""Words of an indication that are read."""


Uncertain = Literal["ignore", "ones", "zeros"]
"""What an uncertain label counts as: U-Ignore, U-Ones and U-Zeros (after Irvin et al. 2019)."""

_COUNTS_AS = {"ignore": None, "ones": 1.0, "zeros": 0.0}


def finding_targets(
    study: Study, labels: Sequence[str], *, uncertain: Uncertain = "ignore", one_class: AttributeList | None = None
) -> tuple[Tensor, Tensor]:
    """Return the targets of a finding head, `[L]` float, and where they are known, `[L]` bool.

    Present is 1 and absent 0; uncertain is unknown unless `uncertain` says otherwise. Unmentioned is 0 where the
    author went through a list that has the finding, or called the study normal, and otherwise unknown (ours). A
    finding that `labels` has only under CheXpert's name counts there.

    With `one_class` the one label is that of its list: of the findings of the list, under their own names, present
    outranks doubt and doubt denial, as in what `evaluate --attributes` compares with (ours).
    """
    reading = label_reading(study)
    names = None if one_class is None else one_class.boxed
    values = [_target(reading, label, names, _COUNTS_AS[uncertain]) if reading else None for label in labels]
    targets = torch.tensor([float(v or 0) for v in values])
    return targets, torch.tensor([v is not None for v in values])


def _target(reading: Reading, label: str, names: Sequence[str] | None, uncertain: float | None) -> float | None:
    """Return the target of a label, or of all `names` as one; None where it is not known."""
    statuses = {f.status for f in reading.findings if _counts(f.name, label, names)}
    if "present" in statuses:
        return 1.0
    if "uncertain" in statuses:
        return uncertain
    silent = any(_denied_by_silence(reading, name) for name in names or (label,))
    return 0.0 if "absent" in statuses or silent else None


def _counts(finding: str, label: str, names: Sequence[str] | None) -> bool:
    return label in (finding, to_chexpert(finding)) if names is None else finding in names


def _denied_by_silence(reading: Reading, label: str) -> bool:
    stated = reading.finding(NO_FINDING)
    if stated is not None and stated.status == "present" and label != SUPPORT_DEVICES:
        return True
    listed = COMPLETE.get(reading.author.name, ())
    return label in listed or label in {to_chexpert(name) for name in listed}


def indexing_terms(study: Study) -> set[str]:
    """Return the headings that indexers gave the study, in lower case, without their qualifiers.

    `Pleural Effusion/left/small` is `pleural effusion`. Data readers put the terms into the `mesh` of a reading's
    provenance.
    """
    terms = (term for reading in study.readings for term in reading.provenance.get("mesh", ()))
    return {" ".join(str(term).partition("/")[0].lower().split()) for term in terms}


def tag_targets(study: Study, tags: Sequence[str]) -> Tensor:
    """Return `[L]`, 1 for each tag that the study is known to have, else 0."""
    targets, known = finding_targets(study, tags)
    return torch.where(known, targets, 0.0)


def indication_ids(study: Study, tokenizer: Tokenizer) -> Tensor:
    """Return the token ids `[T]` of a study's indication, without BOS and EOS; empty where it has none."""
    return torch.tensor(
        tokenizer.encode(study.indication, max_tokens=INDICATION_TOKENS + 2)[1:-1], dtype=torch.int64
    )


def sentence_ids(token_ids: Sequence[int], tokenizer: Tokenizer) -> list[tuple[int, ...]]:
    """Return the token ids of each sentence of `bos … eos`, as the decoders split them: `.` ends one.

    Of a vocabulary without it a report is one sentence.
    """
    body = list(token_ids[1:-1])
    mark = tokenizer.id_of(".") if "." in tokenizer else None
    borders = [place + 1 for place, token in enumerate(body) if token == mark]
    if body and (not borders or borders[-1] < len(body)):
        borders.append(len(body))
    return [tuple(body[a:b]) for a, b in zip([0, *borders], borders, strict=False)]


def abnormal_sentences(token_ids: Sequence[int], tokenizer: Tokenizer, labeler: Labeler) -> Tensor:
    """Return `[S]` bool: whether each sentence of a report names an abnormality."""
    sentences = [tokenizer.decode(ids) for ids in sentence_ids(token_ids, tokenizer)]
    return torch.tensor([names_abnormality(sentence, labeler) for sentence in sentences], dtype=torch.bool)


def names_abnormality(sentence: str, labeler: Labeler) -> bool:
    """Return whether the labeler finds anything present or uncertain; "No Finding" does not count (ours)."""
    return any(f.status in ("present", "uncertain") and f.name != NO_FINDING for f in labeler.label(sentence))
