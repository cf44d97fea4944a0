"""What a candidate is: something that, given a log, has probabilities for the rows it may be judged on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from simulator.datasets.log import ReplayLog
from simulator.progress import Track
from simulator.rounds import Floats


@dataclass(frozen=True, eq=False, kw_only=True)
class Prepared:
    """A candidate met with a log.

    Args:
        log: The rows it is evaluated on: all of them, or those it was not trained on.
        probabilities: π_e(a|x), shape (n, K), over the actions of `log`.
        manifest_sha: SHA-256 of the candidate's manifest, where it has one.
        model_sha: SHA-256 of the candidate's model bytes, where it has some.
        notes: What a reader of the report must know about these probabilities, in sentences.
        fallbacks: On how many rows the candidate's model did not speak, by reason.
    """

    log: ReplayLog
    probabilities: Floats
    manifest_sha: str | None = None
    model_sha: str | None = None
    notes: tuple[str, ...] = ()
    fallbacks: Mapping[str, int] = field(default_factory=dict)


class Candidate(Protocol):
    """A policy to be evaluated."""

    @property
    def spec(self) -> str:
        """The SPEC that names it, as given."""
        ...

    @property
    def by_row(self) -> bool:
        """Whether a row's probabilities depend on that row alone, so that a log may be met part by part."""
        ...

    def prepare(self, log: ReplayLog, track: Track) -> Prepared:
        """Its probabilities for the log. Raises InvalidInput when it cannot be asked about this log."""
        ...
