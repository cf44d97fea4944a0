"""Search: decisions of the log by shopper, time, surface, policy and intervention, the newest first, page by page."""

from typing import Final

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.identifiers import DecisionId
from cxi_bandit.domain.search import Found, Wanted
from cxi_bandit.engine.ports import DecisionLog, Registry

MOST: Final = 200
"""Decisions of a page."""
LOOK: Final = 10_000
"""Rows that one page looks at: tens of milliseconds, whatever is looked for and however long the log is."""


def search(wanted: Wanted, before: DecisionId | None, limit: int, decisions: DecisionLog, registry: Registry) -> Found:
    """A page of what is wanted.

    Raises:
        InvalidInput: A condition that nothing can ever fulfil: a range that ends before it begins, a policy that never
            was; or `limit` is out of range.
    """
    if wanted.since is not None and wanted.until is not None and wanted.until <= wanted.since:
        raise InvalidInput("/until", f"must be later than since, {wanted.since.isoformat()}")
    if not 1 <= limit <= MOST:
        raise InvalidInput("/limit", f"must lie within 1 and {MOST}")
    known = sorted({version.policy for version in registry.versions()})
    if wanted.policy is not None and wanted.policy not in known:
        raise InvalidInput("/policy", f"no policy {wanted.policy!r}; there are {', '.join(known) or 'none yet'}")
    return decisions.search(wanted, before, limit, LOOK)
