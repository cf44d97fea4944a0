"""MABWiser's linear policies on the same streams: a library without log, propensities or service, beside ours."""

from collections.abc import Callable
from importlib.util import find_spec
from random import Random
from typing import Any, Final

import numpy as np

from cxi_bandit.domain.errors import Unavailable
from simulator.studies.quality_players import Played
from simulator.studies.quality_rows import Stream

POLICIES: Final = ("LinUCB", "LinTS")


def installed() -> bool:
    """Whether it can be played at all: it is an extra, `pip install 'cxi-bandit[bench]'`."""
    return find_spec("mabwiser") is not None


def play_mabwiser(stream: Stream, segment: int, policy: str) -> Played:
    """One of `POLICIES` with the library's defaults (alpha 1, ridge 1), told of each segment after it.

    It has to be fitted before it can predict, so the first segment is drawn evenly, as ours is. Contexts are scaled as
    ours are, with a constant beside them.
    """
    contexts = _contexts(stream)
    bandit = _bandit(stream, policy)
    seeded = Random(stream.seed)
    rewards: list[float] = []
    learn: Callable[..., None] = bandit.fit
    for begin in range(0, len(stream.rows), segment):
        part = contexts[begin : begin + segment]
        if begin == 0:
            choices = [seeded.randrange(stream.source.classes) for _ in part]
        else:
            told = bandit.predict(part)
            choices = told if isinstance(told, list) else [told]
        earned = [stream.reward(begin + at, choice) for at, choice in enumerate(choices)]
        learn(choices, earned, part)
        learn = bandit.partial_fit
        rewards += earned
    return Played(rewards, [])


def _contexts(stream: Stream) -> "np.ndarray[Any, np.dtype[np.float64]]":
    low, high = np.array(stream.source.ranges).T
    values = np.array([row.values for row in stream.rows])
    scaled = (values - low) / np.where(high > low, high - low, 1.0)
    return np.column_stack([scaled, np.ones(len(values))])


def _bandit(stream: Stream, policy: str) -> Any:  # noqa: ANN401 - the library publishes no types
    try:
        from mabwiser.mab import MAB, LearningPolicy  # noqa: PLC0415 - an extra; too heavy to import unasked
    except ImportError as error:
        raise Unavailable("MABWiser: pip install 'cxi-bandit[bench]'") from error
    linear = {"LinUCB": LearningPolicy.LinUCB, "LinTS": LearningPolicy.LinTS}[policy]
    return MAB(list(range(stream.source.classes)), linear(), seed=stream.seed)
