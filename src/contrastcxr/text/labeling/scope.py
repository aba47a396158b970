"""How far a cue reaches: one pass over the signs of a sentence (docs/labeler.md has the rules in words)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from contrastcxr.text.labeling.automaton import Sign
from contrastcxr.text.labeling.mentions import Said, TermMention, Words
from contrastcxr.text.labeling.rules import GENERAL, Rules
from contrastcxr.text.labeling.structures import Structures

_LIST = frozenset({"comma", "and", "with"})
_ENDS_GENERAL = frozenset({"comma", "with"})
_NOTHING_FOLLOWS = frozenset({"separator", "stop", "except", "back"})
_VERBS = frozenset({"verbs", "negative_after", "doubt_after"})
_FAR = 6


class Scope:
    """Reads the signs of one sentence, in order, and holds the mentions found so far."""

    __slots__ = (
        "_at",
        "_clause",
        "_consumed",
        "_count",
        "_excepted",
        "_reach",
        "_rules",
        "_separated",
        "_separator",
        "_signs",
        "_structures",
        "_verb",
        "mentions",
    )

    def __init__(self, signs: Sequence[Sign], count: int, rules: Rules) -> None:
        self.mentions: list[TermMention] = []
        self._signs = signs
        self._count = count
        self._rules = rules
        self._structures = Structures(rules.says)
        self._reach: tuple[Said, Words] | None = None
        self._consumed = False  # a mention has stood within the reach
        self._separated = False  # a separator has stood within the reach
        self._separator: Sign | None = None
        self._excepted: tuple[int, Words] | None = None
        self._clause = 0  # the first mention of the clause
        self._verb = -1  # the last verb
        self._at = 0

    def read(self) -> list[TermMention]:
        """Return the mentions of the sentence, statuses decided."""
        for at, sign in enumerate(self._signs):
            self._at = at
            handle = _HANDLERS.get(sign.kind)
            if handle is not None:
                handle(self, sign)
        self.mentions += self._structures.finish()
        self._settle_exception()
        return self.mentions

    # findings and structures

    def _finding(self, sign: Sign) -> None:
        self._structures.interrupt()
        said, words = self._reach or ("present", None)
        if said != "absent" and sign.value[0] == GENERAL:
            return
        mention = TermMention(sign.value, said, sign.first, sign.last)
        if words is not None:
            mention.decided_by.append(words)
        self._join_alternatives(mention)
        self.mentions.append(mention)
        self._consumed = True

    def _join_alternatives(self, mention: TermMention) -> None:
        """Leave both in doubt in an "A or B" that nothing denies; they share what was said before them."""
        separator, last = self._separator, self._last()
        if separator is None or last is None or separator.value not in ("or", "slash"):
            return
        near = last.last <= separator.first and mention.first - last.last <= _FAR and self._verb < last.last
        if not near or last.names == mention.names:
            return
        mention.partner = last
        if separator.value == "or" and last.said == mention.said == "present":
            for one in (last, mention):
                one.decide("uncertain", (separator.first, separator.last))

    def _structure(self, sign: Sign) -> None:
        separator = self._separator
        if (
            self._reach is not None
            and separator is not None
            and separator.value in _LIST
            and self._begins_clause()
        ):
            self._end_reach()
        self.mentions += self._structures.structure(sign)

    def _begins_clause(self) -> bool:
        """Return whether the structure just named is what a verb or a state then speaks of."""
        for sign in self._signs[self._at + 1 :]:
            if sign.kind not in ("side", "severity", "structure", "separator"):
                return sign.kind in ("verbs", "state")
        return False

    def _state(self, sign: Sign) -> None:
        following = self._next()
        if sign.value == "borderline" and following is not None and following.kind == "finding":
            self._doubt(sign)  # "borderline cardiomegaly"
            return
        if self._denies_last(sign, following):
            return
        before = len(self.mentions)
        self.mentions += self._structures.enter(sign, self._reach)
        self._consumed = self._consumed or len(self.mentions) > before

    def _denies_last(self, sign: Sign, following: Sign | None) -> bool:
        """Deny a finding that is called normal, as in "The vascular engorgement appears normal"."""
        last = self._last()
        if sign.value != "normal" or last is None or last.said != "present" or self._structures.waiting:
            return False
        if self._verb < last.last or (following is not None and following.kind == "structure"):
            return False
        last.decide("absent", (sign.first, sign.last))
        return True

    # cues before

    def _negative(self, sign: Sign) -> None:
        self._begin("absent", sign)

    def _doubt(self, sign: Sign) -> None:
        # "no opacity to suggest pneumonia" denies; "no effusion, possible pneumonia" doubts.
        denied = self._reach is not None and self._reach[0] == "absent"
        if not denied or self._separated:
            self._begin("uncertain", sign)

    def _ignored(self, sign: Sign) -> None:
        self._begin("ignored", sign)

    def _begin(self, said: Said, sign: Sign) -> None:
        if self._reach is not None and self._reach[0] == "ignored" and not self._separated:
            return
        self._reach = (said, (sign.first, sign.last))
        self._consumed = self._separated = False

    # cues after

    def _negative_after(self, sign: Sign) -> None:
        self._decide_back("absent", sign)

    def _doubt_after(self, sign: Sign) -> None:
        self._decide_back("uncertain", sign)

    def _negative_either(self, sign: Sign) -> None:
        (self._negative_after if self._looks_back(sign) else self._negative)(sign)

    def _doubt_either(self, sign: Sign) -> None:
        (self._doubt_after if self._looks_back(sign) else self._doubt)(sign)

    def _looks_back(self, sign: Sign) -> bool:
        """Return whether nothing of the cue's own follows it, and something stands before it."""
        if self._last() is None:
            return False
        if sign.last == self._count:
            return True
        following = self._next()
        return following is not None and following.first == sign.last and following.kind in _NOTHING_FOLLOWS

    def _decide_back(self, said: Said, sign: Sign) -> None:
        words = (sign.first, sign.last)
        for mention in self._listed_before(sign):
            mention.decide(said, words)
        self._verb = sign.first
        self._end_reach()

    def _listed_before(self, sign: Sign) -> list[TermMention]:
        """Return the mention before a cue and those that stand with it in one list.

        Else the last one of the sentence.
        """
        clause = self.mentions[self._clause :]
        if not clause:
            return self.mentions[-1:]
        listed = [clause[-1]]
        verbs = [one.first for one in self._signs[: self._at] if one.kind in _VERBS]
        for mention in reversed(clause[:-1]):
            if any(mention.last <= verb < listed[-1].first for verb in verbs) or mention.first > sign.first:
                break
            listed.append(mention)
        return listed

    def _either(self, sign: Sign) -> None:
        last = self._last()
        if last is not None and last.said == "present":
            last.decide("uncertain", (sign.first, sign.last))
        self._doubt(sign)

    # borders

    def _stop(self, _sign: Sign) -> None:
        self._end_reach()
        self._separator = None

    def _except(self, sign: Sign) -> None:
        if self._reach is not None and self._reach[0] == "absent" and self.mentions:
            self._excepted = (len(self.mentions), (sign.first, sign.last))
        self._stop(sign)

    def _settle_exception(self) -> None:
        """Assert the consolidation in "No consolidation other than a focus at the base"."""
        if self._excepted is not None and len(self.mentions) == self._excepted[0]:
            last = self.mentions[-1]
            if last.said == "absent":
                last.decide("present", self._excepted[1])

    def _separate(self, sign: Sign) -> None:
        self._separator = sign
        self._separated = True
        if sign.value == "comma":
            self._structures.separate()
        if self._reach is None:
            return
        last = self._last()
        general = last is not None and last.names[0] == GENERAL and sign.value in _ENDS_GENERAL
        if (general and not self._more_alternatives()) or (self._reach[0] == "ignored" and sign.value == "comma"):
            self._end_reach()

    def _more_alternatives(self) -> bool:
        return any(sign.kind == "separator" and sign.value == "or" for sign in self._signs[self._at + 1 :])

    def _starter(self, sign: Sign) -> None:
        separator = self._separator
        if separator is not None and separator.last == sign.first and separator.value in _LIST:
            self._end_reach()
            self._structures.separate(always=True)

    def _severity(self, sign: Sign) -> None:
        if sign.value in self._rules.begins:
            self._starter(sign)

    def _verbs(self, sign: Sign) -> None:
        self._verb = sign.first
        if self._consumed:
            self._reach = None

    def _end_reach(self) -> None:
        self._reach = None
        self._consumed = False
        self._clause = len(self.mentions)

    def _next(self) -> Sign | None:
        return self._signs[self._at + 1] if self._at + 1 < len(self._signs) else None

    def _last(self) -> TermMention | None:
        return self.mentions[-1] if len(self.mentions) > self._clause else None


_HANDLERS: dict[str, Callable[[Scope, Sign], None]] = {
    "finding": Scope._finding,
    "structure": Scope._structure,
    "state": Scope._state,
    "negative": Scope._negative,
    "negative_either": Scope._negative_either,
    "negative_after": Scope._negative_after,
    "doubt": Scope._doubt,
    "doubt_either": Scope._doubt_either,
    "doubt_after": Scope._doubt_after,
    "either": Scope._either,
    "ignored": Scope._ignored,
    "stop": Scope._stop,
    "except": Scope._except,
    "separator": Scope._separate,
    "starters": Scope._starter,
    "severity": Scope._severity,
    "verbs": Scope._verbs,
}
