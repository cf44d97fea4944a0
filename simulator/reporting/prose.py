"""How to read each section, a paragraph a string."""

from typing import Final

ESTIMATES: Final = (
    "Each row answers the same question from the same decisions: what would the mean reward have been? Dots are "
    "estimates, lines their intervals; hollow dots estimate something other than the candidate's value, as the table "
    "says. The dashed line is what the log itself earned."
)
DISAGREEMENT: Final = (
    "Where estimators disagree by more than their intervals, believe none of them and read the checks."
)
SEGMENTS: Final = (
    "The same question, asked of parts of the log. Looking at many parts finds differences that are chance: a segment "
    "suggests the next trial, it proves nothing by itself."
)
CHECKS: Final = (
    "Read these before any estimate. One check that refuses is enough: a number from a log that cannot carry it looks "
    "like any other number."
)
WEIGHTS: Final = (
    "A decision counts as often as the candidate would have made it, relative to how often the log did: that is its "
    "weight. Where a few decisions carry most of the weight, the estimate is about those few."
)
PROPENSITIES: Final = (
    "Everything here rests on the logged propensities being the true ones. Shown is {how}: 1 is right. The bar is the "
    "band in which all actions of an honest log lie together in 95 % of cases; hollow dots have too few draws behind "
    "them to be tested on their own."
)
WHOLE_VECTORS: Final = "how often each action was drawn, over the sum of its logged probabilities"
DRAWN_ONLY: Final = "the sum of 1/p over an action's draws, over the decisions in which it could be drawn"
STRANGEST: Final = (
    "The picture shows the {shown} actions farthest from their promise; the table under it holds all {all}."
)
REWARDS: Final = (
    "Rewards that are lost, or still on their way, for one action more than for another look like an effect. Shown is "
    "the share of decisions by action, each with its 95 % interval. Actions that really differ in what follows differ "
    "here too, so a difference is a question to ask, not yet a fault."
)
REWARDS_UNKNOWN: Final = (
    "This log does not say for which decisions a reward event arrived, nor which were shown: it holds one reward per "
    "decision, taken as it is. Ask its owner whether every attribution window had closed."
)
TRIAL: Final = (
    'E is what bets against "the candidate is no better" have multiplied a stake of 1 into, one bet a shopper. Under a '
    "candidate that is no better it ever reaches the threshold with at most the stated probability, so it may be "
    "looked at every day; a go is said at whole weeks only, and only while E is above the threshold then."
)
TRIAL_REFUSED: Final = "The evaluation is refused, so the evidence is not shown: it stands on the same rows."
SEGMENT_TABLE: Final = (
    "Dots and lines are the shrunken effects with their intervals, the bars behind them the raw intervals; effects are "
    "the candidate's reward less the log's, so the dashed line at 0 is no difference."
)
HORIZON: Final = (
    "If rewards arrive after the attribution window, the log has not seen all of the effect. Shown is the same "
    "evaluation on the same decisions, with a window twice as long: nothing should move beyond chance."
)
HORIZON_ROWS: Final = "The window is {window}; {rows} decisions are old enough to compare, {left_out} are not."
PROVENANCE_TRIAL: Final = (
    "The trial is kept: this command continues it, hears what has matured since, and leaves what was heard as it is."
)
NOTES: Final = "What a reader must know about the log, the candidate and the reward model."
PROVENANCE: Final = "With the same database, this command gives the same report again."
