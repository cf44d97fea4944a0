"""Releases: which manifest is which version of a policy, what stage it is in, and who put it there."""

from datetime import datetime
from typing import NamedTuple

import msgspec

from cxi_bandit.domain.decision import Stage
from cxi_bandit.domain.identifiers import ManifestSha, PolicyName


class PolicyVersion(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A manifest under a policy's name, and its stage. The manifest of a version never changes."""

    policy: PolicyName
    version: int
    manifest_sha: ManifestSha
    stage: Stage
    created_at: datetime


class AuditEntry(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One line of the append-only audit trail: who did what to which policy, when, on which evidence."""

    at: datetime
    actor: str
    action: str
    policy: PolicyName | None
    detail: dict[str, str]

    def about(self, what: str, number: int) -> "AuditEntry":
        """The line with the id that the store has given to what it is about."""
        return msgspec.structs.replace(self, detail={what: str(number), **self.detail})


class AuditLine(NamedTuple):
    """A line of the trail as it is read, with its number: later lines have higher ones, with gaps."""

    number: int
    entry: AuditEntry
