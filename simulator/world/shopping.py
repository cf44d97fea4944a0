"""The shop: encounters with defects, what each intervention would be worth there, and what would really happen.

The value of an intervention is its exact expected reward given what can be seen: the context, the defect and nothing of
the hidden segment or of whether the defect is real. So the oracle here is the best any policy could do, not a mind
reader, and values of policies carry no noise of their own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxi_bandit.domain.decision import DecisionRequest, Defect
from cxi_bandit.policy.eligibility import Eligibility
from cxi_bandit.policy.manifest import Manifest
from simulator.world.contexts import Contexts, draw_contexts
from simulator.world.effects import TRUTH, SurfaceTruth
from simulator.world.outcomes import Happening, Rates, margin_of
from simulator.world.scenarios import SHOPPING, Scenario
from simulator.world.shoppers import SEGMENTS, Float64s, Ints, population, segment_given_traits

SURFACE_SHARES: Final[Mapping[str, float]] = {"search": 0.3, "detail_page": 0.3, "cart": 0.25, "repeat_purchase": 0.15}
_POPULATION: Final = 20_000
_BLOCK: Final = 4096


@dataclass(frozen=True, eq=False, kw_only=True)
class Encounter:
    """A shopper meets a defect.

    Attributes:
        index: Place in the world's history, from 0.
        request: What the surface asks the service.
        expected: Exact expected reward of every intervention of the catalogue, cost taken off, shape (K,).
        eligible: Which of them may be drawn, shape (K,).
        happening: What this very shopper would do after each intervention.
    """

    index: int
    request: DecisionRequest
    expected: Float64s
    eligible: NDArray[np.bool_]
    happening: Happening

    @property
    def oracle(self) -> float:
        """The best expected reward among the eligible interventions."""
        return float(self.expected[self.eligible].max())

    @property
    def uniform(self) -> float:
        """Expected reward of drawing evenly among the eligible interventions."""
        return float(self.expected[self.eligible].mean())


class ShoppingWorld:
    """Encounters of a scenario, for given manifests; seeded, and the same for any way of asking for them.

    Args:
        manifests: By surface; each of a shipped policy, since the truth is about its interventions.
        seed: Same seed, same shoppers, same encounters, same outcomes.
        length: Decisions from the world's beginning to its end, for worlds that drift.
    """

    def __init__(
        self, manifests: Mapping[str, Manifest], seed: int, scenario: Scenario = SHOPPING, length: int = 30_000
    ) -> None:
        self.scenario = scenario
        self._manifests = dict(manifests)
        self._seed = seed
        self._length = length
        self._shoppers = population(_POPULATION, np.random.default_rng((seed, 0)))
        self._rules = {surface: Eligibility(manifest) for surface, manifest in self._manifests.items()}

    def encounters(self, count: int, first: int = 0) -> Iterator[Encounter]:
        """The first `count` encounters, in order.

        Args:
            first: Those before this one are left out: two worlds of a seed differ in nothing but their scenario, so
                that one may go on where the other is left.
        """
        for start in range(first - first % _BLOCK, count, _BLOCK):
            for encounter in self._block(start):
                if first <= encounter.index < count:
                    yield encounter

    def _block(self, start: int) -> list[Encounter]:
        rng = np.random.default_rng((self._seed, 1 + start // _BLOCK))
        surfaces = list(self._manifests)
        shares = np.array([SURFACE_SHARES[surface] for surface in surfaces])
        which = rng.choice(len(surfaces), _BLOCK, p=shares / shares.sum())
        shopper = rng.integers(0, len(self._shoppers), _BLOCK)
        found: list[Encounter] = []
        for code, surface in enumerate(surfaces):
            rows: Ints = np.flatnonzero(which == code)
            found.extend(self._of_surface(surface, start + rows, shopper[rows], rng))
        return sorted(found, key=lambda encounter: encounter.index)

    def _of_surface(self, surface: str, index: Ints, shopper: Ints, rng: np.random.Generator) -> Iterator[Encounter]:
        manifest, truth = self._manifests[surface], TRUTH[surface]
        n = len(index)
        shoppers = self._shoppers.take(shopper)
        contexts = draw_contexts(surface, shoppers, rng)
        names = list(manifest.defects)
        trouble = rng.integers(0, len(names), n)
        severity = np.round(rng.beta(2.5, 1.5, n), 3)
        confidence = np.round(rng.beta(3.5, 1.75, n), 3)
        real = rng.random(n) < confidence
        progress = np.minimum(index / self._length, 1.0) * self.scenario.drift
        rates = _Truth(truth, manifest, self.scenario).rates(trouble, severity, contexts, progress)
        value = rates.value(manifest)  # (n, K, segments, real or not)
        seen = np.einsum("ng,nr->ngr", segment_given_traits(shoppers), np.stack([1.0 - confidence, confidence], axis=1))
        expected = np.einsum("nkgr,ngr->nk", value, seen)
        margin = margin_of(contexts.basket, heavy_tail=self.scenario.heavy_tail, rng=rng)
        happenings = rates.happenings(shoppers.segment, real.astype(np.int64), margin, rng)
        rules = self._rules[surface]
        for row, happening in enumerate(happenings):
            defect = Defect(names[trouble[row]], float(severity[row]), float(confidence[row]))
            features = contexts.features[row]
            request = DecisionRequest(
                surface=surface, defect=defect, context=features, subject=f"shopper-{shopper[row]:05d}"
            )
            known = {name: float(value) if type(value) is int else value for name, value in features.items()}
            allowed = rules.resolve(defect, known, None).eligible
            yield Encounter(
                index=int(index[row]),
                request=request,
                expected=expected[row],
                eligible=np.isin(manifest.catalogue, allowed),
                happening=happening,
            )


class _Truth:
    """A surface's truth laid out as arrays over defects (D), interventions (K) and segments (G)."""

    def __init__(self, truth: SurfaceTruth, manifest: Manifest, scenario: Scenario) -> None:
        catalogue, troubles = manifest.catalogue, [truth.troubles[name] for name in manifest.defects]
        none = (0.0,) * len(SEGMENTS)
        self._base = truth.base + scenario.order_shift
        self._heavy_tail = scenario.heavy_tail
        self._taste = np.array([segment.taste for segment in SEGMENTS])
        self._harm = np.array([trouble.harm for trouble in troubles])
        self._fit = np.array([[trouble.fit.get(name, 0.0) for name in catalogue] for trouble in troubles])
        effects = truth.effects
        appeal = np.array([effects[name].appeal if name in effects else none for name in catalogue])
        annoyance = np.array([effects[name].annoyance if name in effects else none for name in catalogue])
        self._appeal = scenario.effect * appeal
        self._annoyance = abs(scenario.effect) * annoyance + scenario.backlash * np.maximum(appeal, 0.0)

    def rates(self, trouble: Ints, severity: Float64s, contexts: Contexts, progress: Float64s) -> Rates:
        """Probabilities of an order and of a complaint, shape (n, K, G, 2); the last axis: no real defect, real one."""
        appeal, annoyance = self._drifted(self._appeal, progress), self._drifted(self._annoyance, progress)
        weight = np.stack([np.zeros_like(severity), severity], axis=1)  # (n, 2)
        harm = (self._harm[trouble, None] * weight)[:, None, None, :]
        # A gift pleases a little even where nothing was wrong.
        fit = self._fit[trouble][:, :, None, None] * weight[:, None, None, :] + _UNASKED
        log_odds = self._base + self._taste[None, None, :, None] - harm + appeal[..., None] * fit
        impatience = np.where(contexts.evening, 1.3, 1.0)[:, None, None, None]
        needless = np.array([3.0, 1.0])
        # The most intrusive interventions, unasked for and in a hurried evening, annoy everybody: no more than that.
        complaint = np.minimum(_ALWAYS_SOME + annoyance[..., None] * impatience * needless, 1.0)
        return Rates(
            order=1.0 / (1.0 + np.exp(-log_odds)),
            complaint=complaint,
            margin=margin_of(contexts.basket, heavy_tail=self._heavy_tail, rng=None),
        )

    @staticmethod
    def _drifted(table: Float64s, progress: Float64s) -> Float64s:
        """The (K, G) table per row, moved towards the neighbour's; `hold` stays what it is. Shape (n, K, G)."""
        moved = table.copy()
        moved[1:] = np.roll(table[1:], 1, axis=0)
        share = progress[:, None, None]
        mixed: Float64s = (1.0 - share) * table + share * moved
        return mixed


_UNASKED: Final = 0.05
_ALWAYS_SOME: Final = 0.01
