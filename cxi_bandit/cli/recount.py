"""`cxi-bandit recount`: what the console's overview shows, counted again from the log."""

import sys
from typing import Any

import msgspec

from cxi_bandit.bootstrap import build_engine
from cxi_bandit.bootstrap.database import open_store
from cxi_bandit.cli.options import show_json
from cxi_bandit.cli.progress import bars
from cxi_bandit.domain.release import AuditEntry
from cxi_bandit.engine.count import count
from cxi_bandit.settings import read_settings


class Recounted(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted here: decisions as they came, and outcome positions. A running service's learner counts too."""

    counted: int
    later: bool


def recount(later: bool, actor: str, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - settings of any type
    """The work of `cxi-bandit recount`."""
    with open_store(read_settings(**options)) as store, bars(as_json=as_json)("counting", None) as advance:
        engine = build_engine(store)
        detail = {"by": "learner" if later else "command"}
        store.registry.note(AuditEntry(at=engine.clock(), actor=actor, action="recount", policy=None, detail=detail))
        store.tallies.recount()
        counted = 0
        while not later and (piece := count(store.registry, store.tallies, engine.clock())):
            counted += piece
            advance(piece)
    answer = Recounted(counted=counted, later=later)
    if as_json:
        show_json(answer)
    elif later:
        sys.stdout.write("asked for: the learner of a running service counts\n")
    else:
        sys.stdout.write(f"{counted} decisions and outcomes counted\n")
