"""What a reader must know about how a log was gathered: by how many versions, while learning, from whom."""

import numpy as np

from simulator.datasets.log import ReplayLog

BY_ROW = frozenset({"cressie_read", "empirical_bernstein", "confidence_sequence"})
"""Intervals that take rows for independent (or alike, given the past)."""


def returning(log: ReplayLog) -> bool:
    """Whether some shopper has more than one row."""
    subject = log.rounds.subject
    return subject is not None and len(np.unique(subject)) < len(subject)


def version_notes(log: ReplayLog) -> tuple[str, ...]:
    """On pooled and on learning loggers, in sentences; none where one version logged every row."""
    versions = log.versions
    if versions is None or versions.present <= 1:
        return ()
    count = versions.present
    learning = (
        f"the log was gathered while its policy learned, by {count} versions of it. ips and dr stay unbiased with the "
        "logged propensities; of the intervals only confidence_sequence holds exactly (where shoppers do not return): "
        "for the others adaptive logging makes normality an approximation. For a claim prefer rows of one version"
    )
    pooling = (
        f"balanced weighs rows by the mixture of the {count} versions that logged them, each re-scored on every row: "
        "it is right where every version met like shoppers, and only nearly so where, as here, later versions learned "
        "from the rewards of earlier rows"
    )
    if versions.of_action is None:
        pooling = (
            "balanced weighs each row by its own version, which makes it ips: the mixture of the "
            f"{count} versions is not known, since {versions.why_not}"
        )
    return learning, pooling
