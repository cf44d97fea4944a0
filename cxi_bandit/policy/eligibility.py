"""Which interventions may be drawn at all, and which rule removed each other one."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from cxi_bandit.domain.decision import HOLD, Defect, Features, FeatureValue, Offer
from cxi_bandit.domain.identifiers import InterventionId
from cxi_bandit.policy.manifest import Comparison, Condition, Intervention, Manifest

Withheld = Mapping[InterventionId, str]
"""Interventions that a limit keeps from being drawn now, each with the limit's words."""

NOTHING_WITHHELD: Final[Withheld] = MappingProxyType({})
_REMEMBERED: Final = 1024


class EligibleSet(NamedTuple):
    """The interventions left, in canonical order, and the rule that removed each other one; not to be changed."""

    eligible: tuple[InterventionId, ...]
    excluded: dict[InterventionId, str]


class Eligibility:
    """A manifest's rules, laid out per defect type once so that a decision only looks them up."""

    def __init__(self, manifest: Manifest) -> None:
        self._plain: dict[str, EligibleSet] = {}
        self._conditional: dict[str, tuple[Intervention, ...]] = {}
        self._narrowed: dict[tuple[str, ...], EligibleSet] = {}
        self._order = manifest.catalogue
        for defect in manifest.defects:
            fitting = [entry for entry in manifest.interventions if not entry.defects or defect in entry.defects]
            names = tuple(InterventionId(entry.id) for entry in fitting)
            unfit = {name: f"not for defect {defect}" for name in self._order if name not in names}
            self._plain[defect] = EligibleSet(names, unfit)
            self._conditional[defect] = tuple(entry for entry in fitting if entry.when)

    def resolve(self, defect: Defect, context: Features, offers: tuple[Offer, ...] | None) -> EligibleSet:
        """The eligible set of one request. `hold` is always in it.

        Args:
            defect: Its type is one the manifest declares.
            context: Already held against the schema.
            offers: The caller's own candidates, all known to the catalogue; None means the whole catalogue.
        """
        plain = self._plain[defect.type]
        conditional = self._conditional[defect.type]
        if not conditional:
            return plain if offers is None else self._narrow(plain, defect, offers)
        excluded = dict(plain.excluded)
        for entry in conditional:
            for condition in entry.when:
                if not _holds(condition, defect, context):
                    excluded[InterventionId(entry.id)] = f"needs {_words(condition)}"
                    break
        return self._without(excluded, offers)

    def _narrow(self, plain: EligibleSet, defect: Defect, offers: tuple[Offer, ...]) -> EligibleSet:
        """Without conditions the candidates alone decide: callers send few combinations, again and again."""
        asked = (defect.type, *[offer.id for offer in offers])
        found = self._narrowed.get(asked)
        if found is None:
            found = self._without(dict(plain.excluded), offers)
            if len(self._narrowed) < _REMEMBERED:
                self._narrowed[asked] = found
        return found

    def _without(self, excluded: dict[InterventionId, str], offers: tuple[Offer, ...] | None) -> EligibleSet:
        if offers is not None:
            offered = {offer.id for offer in offers}
            for name in self._order:
                if name not in offered and name != HOLD:
                    excluded.setdefault(name, "not among the caller's candidates")
        return EligibleSet(tuple([name for name in self._order if name not in excluded]), excluded)


def less(found: EligibleSet, withheld: Withheld) -> EligibleSet:
    """What the rules leave without those that are withheld, `hold` never among them.

    A rule that removed one of them before keeps its word.
    """
    taken = {name: withheld[name] for name in found.eligible if name in withheld}
    left = tuple([name for name in found.eligible if name not in taken])
    return EligibleSet(left, {**found.excluded, **taken}) if taken else found


def _words(condition: Condition) -> str:
    value = ", ".join(condition.value) if isinstance(condition.value, tuple) else condition.value
    return f"{condition.field} {condition.comparison.value.replace('_', ' ')} {value}"


def _holds(condition: Condition, defect: Defect, context: Features) -> bool:
    scope, _, name = condition.field.partition(".")
    actual: FeatureValue | None = getattr(defect, name) if scope == "defect" else context.get(name)
    if actual is None:
        return False
    wanted = condition.value
    match condition.comparison:
        case Comparison.EQUALS:
            return actual == wanted
        case Comparison.NOT_EQUALS:
            return actual != wanted
        case Comparison.ONE_OF:
            return isinstance(wanted, tuple) and actual in wanted
        case Comparison.AT_LEAST:
            return isinstance(actual, float) and isinstance(wanted, float) and actual >= wanted
        case Comparison.AT_MOST:
            return isinstance(actual, float) and isinstance(wanted, float) and actual <= wanted
