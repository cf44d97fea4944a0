"""The tally: what was decided, valued by the world's truth, beside what other policies would have been worth there.

Every number is an exact expectation on the very contexts met, so a comparison carries the noise of learning only.
"""

import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from cxi_bandit.domain.decision import HOLD
from cxi_bandit.domain.identifiers import InterventionId
from simulator.world.shoppers import Float64s
from simulator.world.shopping import Encounter


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Expected reward per decision: of doing nothing, of drawing evenly, of the engine early and late, of the best."""

    hold_only: float
    uniform: float
    engine_first_tenth: float
    engine_last_tenth: float
    oracle: float
    decisions: int


class Tally:
    """Collects decision by decision; `standing` and the curves may be asked for at any time."""

    def __init__(self) -> None:
        self._rows: list[tuple[float, float, float, float]] = []
        self.surfaces: list[str] = []

    def add(
        self, encounter: Encounter, probabilities: Mapping[str, float], catalogue: Sequence[InterventionId]
    ) -> None:
        """Counts a decision.

        Args:
            probabilities: The vector it was drawn from, by intervention; its expectation is what counts.
            catalogue: The order of `encounter.expected`.
        """
        expected = encounter.expected.tolist()
        engine = math.fsum(
            probabilities.get(name, 0.0) * value for name, value in zip(catalogue, expected, strict=True)
        )
        self._rows.append((expected[catalogue.index(HOLD)], encounter.uniform, engine, encounter.oracle))
        self.surfaces.append(encounter.request.surface)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def values(self) -> Float64s:
        """Columns hold-only, uniform, engine, oracle; one row a decision."""
        return np.array(self._rows, dtype=np.float64).reshape(-1, 4)

    def standing(self) -> Standing:
        """Means over everything met; the engine over its first and its last tenth.

        Hold-only, uniform and oracle are means over the whole run: the world is the same throughout unless it drifts.
        """
        values = self.values
        tenth = max(len(values) // 10, 1)
        hold, uniform, _, oracle = values.mean(axis=0)
        return Standing(
            hold_only=float(hold),
            uniform=float(uniform),
            engine_first_tenth=float(values[:tenth, 2].mean()),
            engine_last_tenth=float(values[-tenth:, 2].mean()),
            oracle=float(oracle),
            decisions=len(values),
        )

    def late_advantage(self) -> tuple[float, float]:
        """Engine less hold-only and engine less uniform over the last tenth, on the same contexts."""
        values = self.values
        late = values[-max(len(values) // 10, 1) :]
        hold, uniform, engine, _ = late.mean(axis=0)
        return float(engine - hold), float(engine - uniform)

    def regret(self) -> Float64s:
        """Cumulated expected reward given up against the oracle, shape (n,)."""
        values = self.values
        summed: Float64s = np.cumsum(values[:, 3] - values[:, 2])
        return summed

    def curve(self, points: int) -> Float64s:
        """Means of the four columns over `points` equal stretches of the run, shape (points, 4)."""
        return np.array([part.mean(axis=0) for part in np.array_split(self.values, points) if len(part)])
