"""How a command ends that could not do its work: one line that says what to do next, and an exit code."""

import os
import sys
import traceback
from collections.abc import Mapping
from tempfile import mkstemp
from typing import Final

from cxi_bandit.domain.errors import (
    CxiBanditError,
    EvidenceConflict,
    IdempotencyConflict,
    InvalidInput,
    ManifestInvalid,
    NotFound,
    RolloutConflict,
    Unavailable,
    WrongStep,
)
from cxi_bandit.domain.gate import RefusedByGate, Ruling

DONE: Final = 0
REFUSED: Final = 1
BAD_INPUT: Final = 2
WAIT: Final = 3
UNAVAILABLE: Final = 69
INTERNAL: Final = 70
INTERRUPTED: Final = 130

_WRONG_PATH: Final = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)
_WHERE_TO_LOOK: Final[Mapping[str, str]] = {
    "policy version": "`cxi-bandit policies` shows those there are",
    "model": "`cxi-bandit policies` shows the newest of each version",
    "evaluation": "`cxi-bandit replay --gate` files one and says its number",
    "promotion": "`cxi-bandit promotions` shows those there are",
    "roll-out": "`cxi-bandit policies --json` shows the revision that stands",
    "override": "`cxi-bandit overrides --all` shows those there are",
    "quarantined reward": "`cxi-bandit quarantine list --entries` shows those there are",
    "decision": "take the `decision_id` of an answer; retention or an erasure may have removed it",
}
"""Per kind of what was not found."""


def gate_status(error: RefusedByGate) -> int:
    """The exit code where the gate does not say go."""
    return WAIT if error.decision is Ruling.WAIT else REFUSED


def tell(error: Exception) -> int:
    """Says on stderr what went wrong and what to do about it; the exit code."""
    match error:
        case NotFound():
            where = _WHERE_TO_LOOK.get(error.kind)
            line, status = f"{error}; {where}" if where else str(error), BAD_INPUT
        case InvalidInput() | ManifestInvalid() | IdempotencyConflict() | WrongStep():
            line, status = str(error), BAD_INPUT
        case RefusedByGate():
            line, status = f"the gate says {error.decision.value}: {error}", gate_status(error)
        case Unavailable():
            line, status = f"{error}{_drivers_words(error.__cause__)}", UNAVAILABLE
        case EvidenceConflict() | RolloutConflict():
            line, status = str(error), UNAVAILABLE
        case OSError(filename=str(name), strerror=str(reason)):
            line, status = f"{name}: {reason}", BAD_INPUT if isinstance(error, _WRONG_PATH) else UNAVAILABLE
        case _:
            line, status = _crash(error), INTERNAL
    return complain(line, status)


def _drivers_words(cause: BaseException | None) -> str:
    """What the database's driver says of one that is away, without secrets: whoever typed the address can mend it."""
    if cause is None or not type(cause).__module__.startswith("psycopg"):
        return ""
    first = next(iter(_redacted(str(cause)).splitlines()), "").rstrip(".")
    return f" ({first}); see to it, or name another with --database-url" if first else ""


def complain(line: str, status: int) -> int:
    """One line on stderr; the exit code."""
    sys.stderr.write(f"cxi-bandit: {line}\n")
    return status


def _crash(error: Exception) -> str:
    """What nobody foresaw: a line for whoever sees it, and a file for whoever mends it."""
    kind = "" if isinstance(error, CxiBanditError) else f"{type(error).__name__}: "
    told = _redacted(f"{kind}{error}").splitlines()
    line = f"internal error: {told[0] if told else kind}"
    try:
        # Made readable by its owner only: a command's error may quote what the command was about.
        descriptor, path = mkstemp(prefix="cxi-bandit-error-", suffix=".log")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as log:
            log.write(_redacted("".join(traceback.format_exception(error))))
    except OSError:
        return f"{line}; this is a bug, please report it (its log could not be written)"
    return f"{line}; this is a bug, please report it with {path}"


def _redacted(text: str) -> str:
    from cxi_bandit.telemetry.redaction import redacted  # noqa: PLC0415 - brings the log, which a help text does not need

    return redacted(text)
