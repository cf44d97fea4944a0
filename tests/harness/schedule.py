"""How the processes of a run share the tests out: whole files, those that take long before the short ones.

A file's fixtures are then made once, and what is left for the end is small enough to fill every process. The proofs by
faults keep time, and hold what they measure to bounds: they go one after the other, so that none starves another.
"""

from typing import Final

from xdist.scheduler import LoadScopeScheduling

ONE_AFTER_THE_OTHER: Final = "tests/faults"
LONG_FIRST: Final = (
    ONE_AFTER_THE_OTHER,
    "tests/integration",
    "tests/browser",
    "tests/docs",
    "tests/derivation",
    "tests/statistical",
    "tests/checks",
)
LAST: Final = "tests/unit"


def turn(nodeid: str) -> int:
    """Where a test stands in the order of a run; tests of one turn stay as they were collected."""
    for place, room in enumerate(LONG_FIRST):
        if nodeid.startswith(f"{room}/"):
            return place
    return len(LONG_FIRST) + nodeid.startswith(f"{LAST}/")


class WholeFiles(LoadScopeScheduling):
    """Hands out one file after the other, in the order of the collection; all proofs by faults as if they were one."""

    def schedule(self) -> None:
        """Takes the order from `turn`: how many tests a file has says nothing about how long it takes."""
        self.config.option.loadscopereorder = False
        super().schedule()

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(f"{ONE_AFTER_THE_OTHER}/"):
            return ONE_AFTER_THE_OTHER
        return nodeid.partition("::")[0]
