"""`cxi-bandit halt`: everything to `hold`, at once, of one policy or of all; and lifted again."""

from typing import Any

from cxi_bandit.bootstrap import build_engine
from cxi_bandit.bootstrap.database import open_store
from cxi_bandit.cli.options import show_json
from cxi_bandit.cli.overrides import show_overrides
from cxi_bandit.cli.rebuild import known_policy
from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.engine.override import halt as halt_policy
from cxi_bandit.engine.override import lift as lift_halt
from cxi_bandit.settings import read_settings


def halt(
    policy: str | None,
    reason: str | None,
    lift: int | None,
    *,
    actor: str,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - settings of any type
) -> None:
    """The work of `cxi-bandit halt`."""
    if lift is not None and (policy or reason):
        raise InvalidInput("--lift", "a halt is lifted by its id alone")
    with open_store(read_settings(**options)) as store:
        engine = build_engine(store)
        if lift is not None:
            made = lift_halt(lift, actor, store.releases, engine.clock())
        elif reason:
            name = None if policy is None else known_policy(engine, policy)
            made = halt_policy(name, actor, reason, store.releases, engine.clock())
        else:
            raise InvalidInput("--reason", "say why, for those who find everything on hold")
    if as_json:
        show_json(made)
    else:
        show_overrides([made])
