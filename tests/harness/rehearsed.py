"""What stands, by name, in the database that pages with commands are tried on."""

from typing import NamedTuple

from cxi_bandit.domain.identifiers import ModelVersion


class Rehearsed(NamedTuple):
    """A database to copy from, and what stands there by name."""

    name: str
    model: ModelVersion
    decision_id: str
    as_of: str
