"""What a head states before it is built: what it needs in training, what its losses weigh; needs no PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from contrastcxr.errors import IncompatibleError
from contrastcxr.options import Options
from contrastcxr.vocab.attribute_words import AttributeList, AttributeListName, attribute_lists
from contrastcxr.vocab.labels import label_set

if TYPE_CHECKING:
    from contrastcxr.models.options import RegionOptions

LabelSet = Literal["phantom", "nih14", "chexpert"]
FindingSet = Literal[LabelSet, AttributeListName]
"""What heads learn from labels: the findings of a label set, or those of a list of attributes as one."""
Uncertain = Literal["ignore", "ones", "zeros"]

SLOTS = ("decoder", "finding_head", "localizer")
"""Where a system may have a head: one of each, or none; of two that know a finding, the first one counts."""
_WEIGHT = "_weight"


@dataclass(frozen=True)
class TaughtBoxes:
    """Boxes of training studies, each as the cells of a view that it overlaps, or as its corners.

    Attributes:
        side: cells a side; None for the grid of the patches.
        corners: whether it is corners that are learnt. A study without a box then says that there is nothing, so
            that one with a finding of these that nobody boxed teaches nothing and is left out.
        findings: whose boxes they are; none for the findings that are learnt.
    """

    side: int | None = None
    corners: bool = False
    findings: tuple[str, ...] = ()


@dataclass(frozen=True)
class HeadNeeds:
    """What a head must be given of each study that it is taught with.

    Attributes:
        words: its report, as token ids.
        sentence_flags: which sentences of the report name an abnormality.
        tags: the label set whose labels are tags, or `mesh`, the indexing terms of the training studies.
        indication: why the picture was taken; when reading too.
        findings: the label set whose labels are learnt, or the list of attributes whose findings are, as one.
        uncertain: what an uncertain one of these labels counts as in training.
        boxes: where a finding is, on validation studies, which choose a threshold.
        taught_boxes: where a finding is, on those training studies that say so.
        library: how many sentences of the training reports it chooses from.
        word_vectors: word vectors of the training reports to start from.
        attributes: the list whose attributes its report states, and their word vectors.
        attribute_width: of the word vectors of attributes.
        shuffled: whether training studies have the attributes of others (a control).
    """

    words: bool = False
    sentence_flags: bool = False
    tags: str | None = None
    indication: bool = False
    findings: FindingSet | None = None
    uncertain: Uncertain = "ignore"
    boxes: bool = False
    taught_boxes: TaughtBoxes | None = None
    library: int | None = None
    word_vectors: bool = False
    attributes: AttributeListName | None = None
    attribute_width: int = 0
    shuffled: bool = False

    @property
    def finding_names(self) -> tuple[str, ...]:
        """The findings that are learnt, in the order of the outputs; empty where none is."""
        if self.one_class is not None:
            return (self.one_class.finding,)
        return () if self.findings is None else label_set(self.findings)

    @property
    def one_class(self) -> AttributeList | None:
        """The list of attributes whose findings are learnt as one; None where each is learnt by itself."""
        return None if self.findings is None else attribute_lists().get(self.findings)

    @property
    def study_names(self) -> tuple[str, ...]:
        """The findings whose labels and boxes are read out of a study: those that are learnt, or learnt as one."""
        return self.finding_names if self.one_class is None else self.one_class.boxed

    def tag_names(self, *, terms: Sequence[str] = ()) -> tuple[str, ...]:
        """Return the tags that are predicted, in the order of the outputs; empty where none is.

        `terms` are the indexing terms of the training studies, for `mesh`.
        """
        if self.tags is None:
            return ()
        return tuple(terms) if self.tags == "mesh" else label_set(self.tags)


def all_needs(heads: Iterable[HeadOptions]) -> HeadNeeds:
    """Return what several heads need together.

    Raises:
        IncompatibleError: two heads learn different labels, or count an uncertain one differently.
    """
    found = HeadNeeds()
    for needs in (head.needs for head in heads):
        changed = {f.name: getattr(needs, f.name) for f in fields(needs) if getattr(needs, f.name) != f.default}
        for name in ("findings", "uncertain"):
            before = getattr(found, name)
            if found.findings and needs.findings and before != getattr(needs, name):
                raise IncompatibleError(
                    f"heads that learn from different labels ({before} and {getattr(needs, name)}): a study has "
                    "one label of each finding; give them the same labels and the same uncertain"
                )
        found = HeadNeeds(**{**vars(found), **changed})
    return found


class HeadOptions(Options):
    """The options of a head: its fields, and what follows from them.

    Attributes:
        meaning: options that give weights of one size another meaning.
        sizes: options that are a side of some weight.
        divisors: options that the model width is divided by.
    """

    meaning: ClassVar[tuple[str, ...]] = ()
    sizes: ClassVar[tuple[str, ...]] = ()
    divisors: ClassVar[tuple[str, ...]] = ()

    @property
    def needs(self) -> HeadNeeds:
        """What it must be given of each study that it is taught with."""
        return HeadNeeds()

    @property
    def term_weights(self) -> dict[str, float]:
        """What each term of its loss weighs, by name: the options called `TERM_weight`."""
        return {
            name.removesuffix(_WEIGHT): getattr(self, name)
            for name in type(self).model_fields
            if name.endswith(_WEIGHT)
        }

    @property
    def regions(self) -> RegionOptions | None:
        """The regions that it finds, as an encoder whose patches they are states them; None for none."""
        return None

    @property
    def weighed_regions(self) -> int:
        """How many regions of a study it weighs, those with the best scores; 0 for one that weighs none."""
        return 0

    @property
    def encoder_stages(self) -> tuple[int, ...]:
        """Finer stages of the encoder whose own maps it stands on; none for the patches that all heads share."""
        return ()

    @property
    def own_patience(self) -> int | None:
        """Epochs without a better validation loss of its own after which it is released; None for any number."""
        return None

    @property
    def whole_batch(self) -> str | None:
        """An option and its value that make the lesson of a study depend on its whole batch; None for none."""
        return None

    def stated_sizes(self) -> dict[str, int]:
        """Return the options that are a side of some weight, by name, where they have a value."""
        return {name: size for name in self.sizes if (size := getattr(self, name)) is not None}

    def check_width(self, width: int, slot: str) -> None:
        """Refuse a model width that its attentions cannot share; `slot` is where it stands in a configuration.

        Raises:
            IncompatibleError: an option does not divide the width.
        """
        for option in self.divisors:
            heads = getattr(self, option)
            if width % heads:
                raise IncompatibleError(
                    f"width {width} with {slot}.{option} {heads}: each head takes an equal part; "
                    "choose a width that the heads divide"
                )


class LabelOptions(HeadOptions):
    """What every head states that learns from labels of whole studies."""

    meaning: ClassVar[tuple[str, ...]] = ("labels",)
    labels: FindingSet = Field(
        description="findings that are learnt: a label set, or a list of attributes, whose findings are one"
    )
    weight: float = Field(1.0, ge=0, description="of its binary cross-entropy")
    uncertain: Uncertain = Field(
        "ignore", description="what an uncertain training label counts as: U-Ignore, U-Ones, U-Zeros"
    )
    patience: int | None = Field(
        None,
        ge=1,
        description="epochs without a better validation loss of its own after which it shapes the features no "
        "more; it goes on learning from them (none: it always shapes them)",
    )

    @property
    def needs(self) -> HeadNeeds:
        """Labels."""
        return HeadNeeds(findings=self.labels, uncertain=self.uncertain)

    @property
    def own_patience(self) -> int | None:
        """The option."""
        return self.patience


class FindingHeadOptions(LabelOptions):
    """A probability per finding from the global feature (ours)."""

    dropout: float = Field(0.1, ge=0, lt=1, description="before its linear map")

    @property
    def term_weights(self) -> dict[str, float]:
        """Its binary cross-entropy."""
        return {"finding": self.weight}
