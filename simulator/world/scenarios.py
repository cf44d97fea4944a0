"""Named worlds, as data: the shop as it is, and what makes learning from it or evaluating on it hard.

The first six change the world. The last three leave it alone and change who logs and how rewards are guessed, which is
what they are about: `simulator.world.loggers` has the real engine log that way.
"""

from dataclasses import dataclass
from typing import Final, Literal

Logger = Literal["engine", "adaptive", "uniform", "without_support"]


@dataclass(frozen=True, kw_only=True)
class Feedback:
    """How what happened reaches us. Shares are probabilities per event; times are in shares of the horizon.

    Attributes:
        delay: Median time from occurrence to delivery.
        late: Delivered only after the window has closed, so the first close cannot know of it.
        duplicate: Delivered twice.
        early: Delivered before the decision itself is in the log.
        missing: Never delivered.
        corrected: Reported wrong first, then corrected.
        retracted: Of decisions without an order: an order is reported by mistake and taken back.
    """

    delay: float = 0.03
    late: float = 0.01
    duplicate: float = 0.05
    early: float = 0.02
    missing: float = 0.01
    corrected: float = 0.02
    retracted: float = 0.005


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One world.

    Attributes:
        order_shift: Added to everybody's log-odds of an order.
        effect: Times what every intervention does. At 0 none does anything; below it, what pleased puts off as much,
            and what annoyed annoys as before.
        backlash: Added probability of a complaint for each unit of the appeal that an intervention has for a segment on
            an ordinary day: what was liked best has become a nuisance.
        heavy_tail: One order in forty earns thirteen times the mean margin.
        drift: How far tastes move from the first decision to the last: at 1 each intervention ends with the effects
            of its neighbour in the catalogue.
        logger: Who makes the log: the engine as it is; one that is learning from its first outcome on; one that draws
            evenly; one that never draws the last intervention.
        reward_model: Whether rewards are guessed from what the situation means for each intervention, or without that.
    """

    name: str
    description: str
    order_shift: float = 0.0
    effect: float = 1.0
    backlash: float = 0.0
    heavy_tail: bool = False
    drift: float = 0.0
    feedback: Feedback = Feedback()
    logger: Logger = "engine"
    reward_model: Literal["fitted", "misspecified"] = "fitted"


SHOPPING: Final = Scenario(name="shopping", description="The shop on an ordinary day.")

SCENARIOS: Final[dict[str, Scenario]] = {
    scenario.name: scenario
    for scenario in (
        SHOPPING,
        Scenario(name="rare_rewards", description="Orders are rare, about one in fifty.", order_shift=-3.0),
        Scenario(name="heavy_tail", description="A few orders earn most of the margin.", heavy_tail=True),
        Scenario(name="drift", description="What helps today annoys tomorrow.", drift=1.0),
        Scenario(
            name="delay",
            description="Two in five rewards come after the window has closed.",
            feedback=Feedback(delay=0.4, late=0.25),
        ),
        Scenario(
            name="missing_reward", description="A quarter of all rewards is lost.", feedback=Feedback(missing=0.25)
        ),
        Scenario(
            name="adaptive_logging",
            description="The logger's probabilities follow the rewards it has just seen.",
            logger="adaptive",
        ),
        Scenario(
            name="support_violation",
            description="The logger never draws the last intervention of the catalogue.",
            logger="without_support",
        ),
        Scenario(
            name="misspecified_model",
            description="The reward model cannot see which intervention suits whom.",
            logger="uniform",
            reward_model="misspecified",
        ),
    )
}

PLACEBO: Final = Scenario(name="placebo", description="No intervention does anything.", effect=0.0)
TURNED: Final = Scenario(
    name="turned", description="What pleased yesterday puts off and annoys today.", effect=-1.0, backlash=0.1
)
"""Worlds in which a promotion must come to nothing, or be taken back; there is nothing in them to estimate."""
