"""Roll-outs as a table: who answers which share of the shoppers."""

from collections.abc import Iterable
from typing import Final

from cxi_bandit.cli.options import show_table
from cxi_bandit.domain.rollout import Rollout, Stand
from cxi_bandit.service.policies import arms_of

_COLUMNS: Final = ("policy", "revision", "arm", "share", "version", "model")


def show_arms(rollouts: Iterable[Rollout]) -> None:
    """A table for people."""
    rows: list[tuple[object, ...]] = []
    for rollout in rollouts:
        answering = [(arm.value, f"{share:.2%}", stand) for arm, share, stand in arms_of(rollout)]
        answering += [(f"live for {defect}", "-", stand) for defect, stand in rollout.by_defect.items()]
        answering += [("shadow", "-", stand) for stand in rollout.shadow]
        rows += [(rollout.policy, rollout.revision, name, share, *_words(stand)) for name, share, stand in answering]
    show_table("Who answers", _COLUMNS, rows)


def _words(stand: Stand | None) -> tuple[int | None, object]:
    if stand is None:
        return None, None
    return stand.version, "its newest" if stand.follows_head else "cold start" if stand.model is None else stand.model
