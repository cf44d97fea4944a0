"""`cxi-bandit unlearn`: a bad sender or a stretch of time is taken out of what a policy has learned."""

import sys
from typing import Any

import msgspec

from cxi_bandit.bootstrap import build_engine
from cxi_bandit.bootstrap.database import open_store
from cxi_bandit.cli.options import moment, show_json
from cxi_bandit.cli.rebuild import known_policy
from cxi_bandit.domain.identifiers import Source
from cxi_bandit.domain.release import AuditEntry
from cxi_bandit.domain.unlearning import Unlearning
from cxi_bandit.engine.unlearn import unlearn as unlearn_outcomes
from cxi_bandit.engine.unlearn import unlearning
from cxi_bandit.settings import read_settings


class Unlearned(msgspec.Struct, frozen=True, kw_only=True):
    """What an unlearning concerns.

    Attributes:
        outcomes: Learnable outcomes left out, as known now.
        rebuild_request: None when it was only tried.
    """

    unlearning: Unlearning
    outcomes: int
    rebuild_request: int | None


def unlearn(
    policy: str,
    source: str | None,
    since: str | None,
    until: str | None,
    reason: str,
    *,
    dry_run: bool,
    actor: str,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - settings of any type
) -> None:
    """The work of `cxi-bandit unlearn`."""
    with open_store(read_settings(**options)) as store:
        engine = build_engine(store)
        name, at = known_policy(engine, policy), engine.clock()
        sender = None if source is None else Source(source)
        asked = unlearning(name, sender, moment(since, "--from"), moment(until, "--to"), at)
        concerned = store.outcomes.unlearned(asked)
        request = None
        if not dry_run:
            detail = {"source": source or "", "since": asked.since.isoformat(), "until": asked.until.isoformat()}
            detail |= {"reason": reason, "outcomes": str(concerned)}
            store.registry.note(AuditEntry(at=at, actor=actor, action="unlearn", policy=name, detail=detail))
            asked = unlearn_outcomes(asked, store.registry, store.outcomes)
            reasons = {known.reason: known.request_id for known in store.rebuilds.history(name)}
            request = reasons[f"unlearning {asked.number}"]
    answer = Unlearned(unlearning=asked, outcomes=concerned, rebuild_request=request)
    if as_json:
        show_json(answer)
    elif dry_run:
        sys.stdout.write(f"would leave out {concerned} outcomes\n")
    else:
        sys.stdout.write(
            f"unlearning {asked.number} leaves out {concerned} outcomes; the rebuild is asked for as request {request} "
            f"(a running service's learner works it off; `cxi-bandit rebuild {policy}` does it now)\n"
        )
