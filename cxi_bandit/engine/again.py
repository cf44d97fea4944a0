"""Again: who comes too late to a roll-out looks once more before saying so, since most rivals do not collide twice."""

from collections.abc import Callable
from typing import TypeVar

from cxi_bandit.domain.errors import RolloutConflict

T = TypeVar("T")


def looking_again(verb: Callable[[], T]) -> T:
    """The verb's answer, at its second look where a rival changed what it saw at the first.

    Raises:
        RolloutConflict: Another rival came between at the second look as well; nothing was written.
    """
    try:
        return verb()
    except RolloutConflict:
        return verb()
