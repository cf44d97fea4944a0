"""Who makes a scenario's log: the engine itself, under the shop's manifests or under variants that log as it says.

What a candidate is held against stays the world's: the shipped manifests, what they declare eligible, and the truth.
"""

import re
from collections.abc import Mapping
from typing import Final

from cxi_bandit.domain.errors import InvalidInput
from simulator.manifests import with_explorer, with_value
from simulator.world.scenarios import Scenario

_INTERVENTION: Final = re.compile(r"^\[\[interventions\]\]\n(?:(?!\[|# ----).*\n)*", re.MULTILINE)
_WHEN: Final = re.compile(r"^when = \[\n(?: .*\n)*\]\n|^when = .*\n", re.MULTILINE)
_NEVER: Final = (
    'when = [{ field = "defect.severity", comparison = "at_least", value = 1 }, '
    '{ field = "defect.severity", comparison = "at_most", value = 0 }]\n'
)
_BY_CHANCE: Final = 'algorithm = "epsilon_greedy"\nepsilon = 1.0'


def logging_texts(texts: Mapping[str, str], scenario: Scenario) -> dict[str, str]:
    """The manifests that the scenario's engine serves, by file name, in place of the shop's.

    Raises:
        InvalidInput: A text is no variant of a shipped one.
    """
    return {file: _logging(text, scenario) for file, text in texts.items()}


def _logging(text: str, scenario: Scenario) -> str:
    match scenario.logger:
        case "adaptive":
            # It follows the first rewards it hears of: no cold start on which it would stand still.
            text = with_value(text, "outcomes", "1")
        case "uniform":
            # Even but for the floors, whatever was learned.
            text = with_explorer(with_value(text, "outcomes", "1"), _BY_CHANCE)
        case "without_support":
            text = _without_last(text)
        case "engine":
            pass
    if scenario.reward_model == "misspecified":
        # The policy's own encoding, which a reward model takes over, keeps no product of situation and intervention.
        text = with_value(text, "interactions", "[]")
    return text


def _without_last(text: str) -> str:
    """The last intervention of the catalogue is never eligible: what it would have earned cannot be in the log."""
    blocks = list(_INTERVENTION.finditer(text))
    if not blocks:
        raise InvalidInput("interventions", "are not declared in the manifest")
    last = blocks[-1]
    block = _WHEN.sub("", last.group()).rstrip("\n") + f"\n{_NEVER}\n"
    return text[: last.start()] + block + text[last.end() :]
