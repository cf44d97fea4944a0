"""Development mode: nobody is asked for a key, so what is asked is that no page elsewhere makes a browser speak."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from litestar.types import Scope

from cxi_bandit.domain.access import ApiKey
from cxi_bandit.domain.access import Scope as KeyScope
from cxi_bandit.domain.identifiers import Source
from cxi_bandit.service.auth import DECLARED, SIGNED, Gatekeeper
from cxi_bandit.service.problems import Forbidden
from cxi_bandit.service.routing import headers_of, of_another_origin

DEVELOPER: Final = ApiKey(
    name="dev",
    scopes=frozenset(KeyScope),
    source=Source("dev"),
    created_at=datetime(1970, 1, 1, tzinfo=UTC),
    rate_per_second=0.0,
)
"""Who everyone is in development mode."""

_LOOPBACK: Final = frozenset({"127.0.0.1", "[::1]", "localhost"})


class LocalGatekeeper(Gatekeeper):
    """The gatekeeper of development mode, for callers and for people.

    The loopback address keeps other machines out, and not the pages that this machine's browser has open: a page may
    send what it likes to an address of ours, and may make a name of its own lead here, so that browsers take our
    answers for its own. Hence every request must be meant for this machine by name, and none may be another page's.
    """

    async def admit(self, scope: Scope) -> None:
        """Lets a request of this machine's pass, as the developer's; a signed one speaks for itself.

        Raises:
            Forbidden: It came by another name, or a page elsewhere sent it; or the route declares no access at all.
        """
        if scope["route_handler"].opt.get(DECLARED) != SIGNED:
            _of_this_machine(headers_of(scope))
        await super().admit(scope)

    async def _identify(self, scope: Scope) -> ApiKey:  # noqa: ARG002 - whoever it is
        return DEVELOPER


def _of_this_machine(headers: Mapping[bytes, bytes]) -> None:
    if not _by_loopback(headers.get(b"host", b"").decode("latin-1").lower()):
        raise Forbidden("in development mode the service answers to localhost, 127.0.0.1 and [::1] alone")
    if of_another_origin(headers):
        raise Forbidden("in development mode no page elsewhere may call the service; nothing was done")


def _by_loopback(host: str) -> bool:
    port = host.rpartition(":")[2]
    return host.removesuffix(f":{port}") in _LOOPBACK if port.isdecimal() else host in _LOOPBACK
