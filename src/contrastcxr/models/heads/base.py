"""What every head answers to: it is taught, and it fills in the part of a reading that it knows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import torch
from torch import Tensor, nn

from contrastcxr.errors import IncompatibleError
from contrastcxr.losses.base import States, Targets, Term

if TYPE_CHECKING:
    from contrastcxr.models.features import GridPlaces, VisualFeatures
    from contrastcxr.models.heads.library import SentenceLibrary
    from contrastcxr.models.heads.options import HeadOptions
    from contrastcxr.models.heads.writing import GeneratedReports, Search


Marking = Literal["range", "regions", "cells"]
"""What cuts are heights of, a map's own range or the heat of a cell, and whether all above them is marked."""


@dataclass(frozen=True, eq=False, kw_only=True)
class HeadInputs:
    """What a head is built for, beside its options; those that do not apply are left out.

    Attributes:
        width: d of the features.
        image_size: side of the model's picture in pixels.
        stage_widths: channels of the maps of the encoder's stages that a head stands on by itself.
        vocabulary: V, of a head with words.
        sentence_end: id of the mark that ends a sentence; None where the vocabulary has none.
        end_of_report: id of EOS.
        patches_embedded: whether the projection is a patch embedding, so that a head needs none of its own.
        findings: canonical names, in the order of the outputs.
        tag_count: how many tags are known.
        sentence_library: sentences to choose from.
    """

    width: int
    image_size: int = 0
    stage_widths: tuple[int, ...] = ()
    vocabulary: int = 0
    sentence_end: int | None = None
    end_of_report: int = 2
    patches_embedded: bool = False
    findings: tuple[str, ...] = ()
    tag_count: int = 0
    sentence_library: SentenceLibrary | None = None

    def sentence_mark(self, kind: str) -> int:
        """Return the id of the mark that ends a sentence, for a head that goes sentence by sentence.

        Raises:
            IncompatibleError: the vocabulary has none.
        """
        if self.sentence_end is None:
            raise IncompatibleError(
                f"decoder.kind {kind} with a vocabulary that has no '.': it plans sentence by sentence; choose "
                "data whose reports have sentences, or another decoder"
            )
        return self.sentence_end


@dataclass(frozen=True, eq=False)
class Lesson:
    """What teaching a head gives: named terms of its loss, whose weights its options have, and states.

    Attributes:
        terms: each a mean over the batch and what it is the mean of.
        states: None unless they were asked for and the head has them.
    """

    terms: Mapping[str, Term]
    states: States | None = None


@dataclass(frozen=True, eq=False)
class FindingMaps:
    """Where a localizer sees each finding, and how much of that it marks.

    Attributes:
        findings: L names.
        heat: `[B, L, V n]` over the n cells of each view's `Head.marked_grid`, of any scale.
        shown: `[B, L, N]` over the patches, which are a grid, in [0, 1], for people.
        cuts: heights above which a place is marked.
        marking: `range`: a view's map is drawn at the size of the picture and its least and greatest value are 0
            and 255; the boxes round the 8-connected places above each cut are marked. `regions`: of those boxes
            above the one cut, each of which weighs the mean of its heat, those that
            `reading.regions.chosen_regions` chooses. `cells`: the cells whose heat is above the one cut.
    """

    findings: tuple[str, ...]
    heat: Tensor
    shown: Tensor
    cuts: tuple[float, ...]
    marking: Marking = "range"


@dataclass(frozen=True, eq=False)
class RegionMarks:
    """Regions that a localizer chooses from for one finding; `reading.regions.chosen_regions` has the rule.

    Attributes:
        finding: its name.
        boxes: `[B, R, 4]`, in pixels of the model's picture.
        weights: `[B, R]`, at least 0; 0 where there is no region.
        views: `[B, R]` int64, which view of the study each is in.
    """

    finding: str
    boxes: Tensor
    weights: Tensor
    views: Tensor


@dataclass(frozen=True, eq=False)
class AttributeAnswer:
    """Words for what a localizer marks.

    Attributes:
        names: of the A attributes.
        probabilities: `[B, A]`, float32.
        attention: `[B, R, A]`, b_ij of paper D: how much of each attribute stands in each region of `RegionMarks`.
    """

    names: tuple[str, ...]
    probabilities: Tensor
    attention: Tensor


@dataclass(frozen=True, eq=False)
class PartialReading:
    """A partial reading of a batch, in tensors: what one head knows, or several together.

    Attributes:
        reports: the words.
        findings: names of the findings that have a probability.
        probabilities: `[B, L]`, float32.
        maps: where findings are, on a grid.
        regions: where a finding is, of a localizer that chooses among regions.
        attributes: words for these regions.
    """

    reports: GeneratedReports | None = None
    findings: tuple[str, ...] = ()
    probabilities: Tensor | None = None
    maps: FindingMaps | None = None
    regions: RegionMarks | None = None
    attributes: AttributeAnswer | None = None

    def with_rest_of(self, other: PartialReading) -> PartialReading:
        """Return this answer, with what another has to say of what this one leaves open."""
        own = self if self.probabilities is not None else other
        return PartialReading(
            self.reports or other.reports,
            own.findings,
            own.probabilities,
            self.maps or other.maps,
            self.regions or other.regions,
            self.attributes or other.attributes,
        )


@dataclass(frozen=True, eq=False)
class AttributeVectors:
    """Word vectors of A attributes, of width d.

    Attributes:
        words: `[A, d]`; zeros of an attribute that no report has.
        neighbours: `[A, A, d]`, the words nearest to each attribute by cosine, itself left out.
        neighbour_attribute: `[A, A]` int64, which attribute each of these is; −1 for another word.
    """

    words: Tensor
    neighbours: Tensor
    neighbour_attribute: Tensor


class Threshold(Protocol):
    """A number of a head that is chosen on validation studies once it is trained."""

    @property
    def score(self) -> str:
        """The validation score that the best value has the most of."""

    def candidates(self, features: Sequence[VisualFeatures]) -> Sequence[float]:
        """Return the values to try, of the features of all validation studies."""

    def set(self, value: float) -> None:
        """Keep a value."""


class Head(nn.Module, ABC):
    """Base of everything that a system answers with.

    What a checkpoint keeps of it: weights, buffers, options, and what follows from the needs that its options
    state (words: the vocabulary; findings: their names, temperature, thresholds; a library; terms that are tags).

    Attributes:
        kind: the name it is registered under.
        options: what it was built with.
        reads_indication: whether `VisualFeatures.indication` changes what it answers.
        released: whether it learns from the features without shaping them: no gradient of its loss reaches them.
        stage_widths: channels of the maps of the encoder's stages that it stands on (`VisualFeatures.fine`); none
            for a head that takes the patches.
    """

    reads_indication: bool = False
    stage_widths: tuple[int, ...] = ()

    def __init__(self, options: HeadOptions, kind: str) -> None:
        super().__init__()
        self.options = options
        self.kind = kind
        self.released = False

    def release(self) -> None:
        """Let it shape the features no more; the system then teaches it on detached ones."""
        self.released = True

    @abstractmethod
    def teach(self, features: VisualFeatures, targets: Targets, *, states: bool = False) -> Lesson:
        """Return the terms of its loss on a batch, and with `states` what a loss of the whole system compares."""

    @abstractmethod
    def answer(self, features: VisualFeatures, *, search: Search | None = None) -> PartialReading:
        """Return what it makes of each study; a head with words writes them with the search."""

    @property
    def threshold(self) -> Threshold | None:
        """What of it is chosen on validation studies; None for nothing."""
        return None

    def take_vectors(self, vectors: AttributeVectors) -> None:
        """Keep word vectors of attributes, where its options need any; another head leaves them."""
        del vectors

    def best_anchors(self, corners: Tensor) -> Tensor | None:
        """Return the IoU `[n]` of boxes with the anchor that fits each best; None of a head without anchors.

        Args:
            corners: `[n, 4]`, in pixels of the model's picture.
        """
        del corners
        return None

    def marked_grid(self, patches: GridPlaces) -> GridPlaces | None:
        """Return the grid over a view whose cells its maps have: that of the patches it takes, or a finer one.

        None of a head that marks no cells.

        Raises:
            IncompatibleError: it cannot mark patches of this grid.
        """
        return patches


class IdentifyingHead(Head):
    """Base of the heads that give each finding a probability.

    `temperature` (one number for all findings, fitted on validation) divides the logits in `probabilities` only:
    the loss sees the plain logits.

    Attributes:
        findings: canonical names, in the order of the outputs.
    """

    temperature: Tensor

    def __init__(self, options: HeadOptions, kind: str, findings: Sequence[str]) -> None:
        super().__init__(options, kind)
        if not findings or len(set(findings)) != len(findings):
            raise IncompatibleError(f"a {kind} needs at least one finding and no name twice")
        self.findings = tuple(findings)
        self.register_buffer("temperature", torch.tensor(1.0))

    @abstractmethod
    def logits(self, features: VisualFeatures) -> Tensor:
        """Return logits `[B, L]` of the findings."""

    def set_temperature(self, temperature: float) -> None:
        """Keep the temperature fitted on validation; it must be above 0."""
        if not temperature > 0:
            raise ValueError(f"temperature {temperature}; it must be above 0")
        self.temperature.fill_(temperature)

    def probabilities(self, features: VisualFeatures) -> Tensor:
        """Return the temperature-scaled probabilities `[B, L]` in float32."""
        return self.scaled(self.logits(features))

    def scaled(self, logits: Tensor) -> Tensor:
        """Return the probabilities `[B, L]` of `logits [B, L]` at the temperature, in float32."""
        return torch.sigmoid(logits.float() / self.temperature.float())
