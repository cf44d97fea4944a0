"""The terms on which lifecycles are walked: the search policy, frozen but for promotions, and the worlds it meets."""

import re
from dataclasses import replace
from typing import Final

from simulator.manifests import shipped_texts, with_explorer, with_value
from simulator.world.scenarios import PLACEBO, SHOPPING, TURNED, Scenario

KEEN: Final[Scenario] = replace(
    SHOPPING, name="keen", description="The shop where every intervention does twice as much.", effect=2.0
)
"""So that a promotion needs weeks of a few hundred shoppers a day, and a run of one seconds."""

WORLDS: Final = {scenario.name: scenario for scenario in (KEEN, PLACEBO, TURNED)}

_COST: Final = re.compile(r"^cost = .*\n", re.MULTILINE)
_GATE_GUARDRAILS: Final = re.compile(r"^\[\[gate\.guardrails\]\]\n(?:.+\n)+", re.MULTILINE)
_ROLLOUT: Final = re.compile(r"^\[rollout\]\n(?:[^\[\n].*\n?)+", re.MULTILINE)
_FASTER: Final = """
[rollout]
previous_share = 0.1
canary_shares = [0.2, 0.5]
canary_hours = 24
canary_shoppers = 200
alarm_at = 1000
"""


def terms(*, free: bool = False) -> str:
    """The shipped search policy, whose cold start answers until a model is promoted, and whose models are greedy.

    Offline guardrails need more shoppers than a run of seconds has: there is none here, and the complaint is watched in
    the reward.

    Args:
        free: No intervention costs anything: where none does anything either, all policies are worth the same.
    """
    text = with_value(shipped_texts()["search.toml"], "updates", '"gated"')
    text = with_explorer(text, 'algorithm = "epsilon_greedy"\nepsilon = 0.1')
    text = _ROLLOUT.sub("", _GATE_GUARDRAILS.sub("", with_value(text, "hold", "0.5")))
    return (_COST.sub("", text) if free else text) + _FASTER
