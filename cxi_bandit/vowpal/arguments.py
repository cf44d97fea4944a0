"""A manifest's learner as Vowpal Wabbit's arguments: the same list when learning, serving and executing again.

Numbers are written out whole: a rounded one would silently be another setting than the manifest's.
"""

from cxi_bandit.policy.explorers import (
    RND,
    Bag,
    Cover,
    EpsilonGreedy,
    Explorer,
    RegCB,
    Softmax,
    SquareCB,
)
from cxi_bandit.policy.manifest import Manifest


def explorer_arguments(explorer: Explorer) -> list[str]:  # noqa: PLR0911 - one answer an explorer
    """The explorer's own flags.

    RegCB runs with `--first_only`, without which its optimistic variant sums to more than 1.
    """
    match explorer:
        case SquareCB():
            return ["--squarecb", "--gamma_scale", repr(explorer.gamma_scale)]
        case EpsilonGreedy():
            return ["--epsilon", repr(explorer.epsilon)]
        case Softmax():
            return ["--softmax", "--lambda", repr(explorer.inverse_temperature)]
        case Cover():
            return ["--cover", str(explorer.policies)]
        case Bag():
            return ["--bag", str(explorer.models)]
        case RegCB():
            return ["--regcbopt", "--first_only", "--cb_min_cost", "-1", "--cb_max_cost", "0"]
        case RND():
            return ["--rnd", str(explorer.networks)]


def workspace_arguments(manifest: Manifest) -> list[str]:
    """Every flag a workspace of this manifest is made with.

    `--clip_p` bounds the importance weights VW itself computes, so that no logged propensity can stop mtr from
    learning: at the manifest's cap, and in any case at its own floor, below which nothing is ever drawn.
    `--preserve_performance_counters` makes saving, loading and going on leave the same bytes as never having stopped.
    """
    learning, exploration = manifest.learning, manifest.exploration
    arguments = ["--quiet", "--cb_explore_adf", *explorer_arguments(exploration.explorer), "--cb_type", "mtr"]
    arguments += ["-b", str(learning.bits), "-l", repr(learning.learning_rate)]
    for interaction in learning.interactions:
        arguments += ["--interactions", interaction]
    # The shared features alone cannot tell one intervention from another: only their products with it are learned.
    arguments += ["--ignore_linear", "S"]
    clip = exploration.lowest_floor
    if learning.importance_cap is not None:
        clip = max(clip, 1.0 / learning.importance_cap)
    return [*arguments, "--clip_p", repr(clip), "--preserve_performance_counters"]
