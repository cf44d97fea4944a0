"""What a reader must know about how a log was gathered: by how many versions, while learning, from whom."""

from collections.abc import Mapping

from cxi_bandit.domain.evaluation import Diagnostics
from simulator.datasets.log import ReplayLog
from simulator.evaluate import BY_ROW


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


def interval_notes(found: Diagnostics, asked: str | None) -> tuple[str, ...]:
    """Why the intervals are not those that were asked for; none where they are."""
    if asked not in BY_ROW or found.subjects is None or found.subjects == found.n:
        return ()
    stand_in = "so gaussian intervals by shopper stand in"
    return (f"shoppers return in this log and {asked} takes rows for independent, {stand_in}",)


def fallback_notes(fallbacks: Mapping[str, int], rows: int) -> tuple[str, ...]:
    """Where it was not the candidate's model that spoke."""
    return tuple(
        f"on {count} of {rows} rows the candidate's model did not speak ({reason}); it is scored as it is served"
        for reason, count in fallbacks.items()
    )
