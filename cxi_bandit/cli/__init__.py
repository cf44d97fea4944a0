"""The command line: every command in a file of its own, every error one clear line and an exit code."""

import sys
from importlib import import_module
from importlib.metadata import entry_points
from typing import Final

import rich_click as click

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
_INTERRUPTED: Final = 130

_BAD_INPUT: Final = (InvalidInput, ManifestInvalid, NotFound, IdempotencyConflict, WrongStep)

COMMANDS: Final = {
    "approve": "cxi_bandit.cli.approve:approve",
    "audit": "cxi_bandit.cli.audit:audit",
    "backup": "cxi_bandit.cli.backup:backup",
    "restore": "cxi_bandit.cli.restore:restore",
    "explain": "cxi_bandit.cli.explain:explain",
    "halt": "cxi_bandit.cli.halt:halt",
    "override": "cxi_bandit.cli.override:override",
    "overrides": "cxi_bandit.cli.overrides:overrides",
    "promotions": "cxi_bandit.cli.promotions:promotions",
    "propose": "cxi_bandit.cli.propose:propose",
    "rollback": "cxi_bandit.cli.rollback:rollback",
    "shadow": "cxi_bandit.cli.shadow:shadow",
    "erase": "cxi_bandit.cli.erase:erase",
    "quarantine": "cxi_bandit.cli.quarantine:quarantine",
    "recount": "cxi_bandit.cli.recount:recount",
    "rebuild": "cxi_bandit.cli.rebuild:rebuild",
    "serve": "cxi_bandit.cli.serve:serve",
    "keys": "cxi_bandit.cli.keys:keys",
    "policies": "cxi_bandit.cli.policies:policies",
    "unlearn": "cxi_bandit.cli.unlearn:unlearn",
    "watches": "cxi_bandit.cli.watches:watches",
}
"""Our own commands as `module:attribute`; those of other packages join by the entry-point group of the same form."""

_GROUP: Final = "cxi_bandit.commands"


class LazyGroup(click.RichGroup):
    """Imports a command when it is asked for: `serve` need not wait for a plotting library."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Our own commands and those of installed packages, by name."""
        return sorted({*COMMANDS, *(point.name for point in entry_points(group=_GROUP))})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """The command, imported now; None when there is none of this name."""
        if cmd_name in COMMANDS:
            module, _, attribute = COMMANDS[cmd_name].partition(":")
            command = getattr(import_module(module), attribute)
        else:
            point = next(iter(entry_points(group=_GROUP, name=cmd_name)), None)
            if point is None:
                return None
            command = point.load()
        return command if isinstance(command, click.Command) else None


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cxi-bandit")
def command_line() -> None:
    """Decide whether and how to intervene when a shopping experience goes wrong, and learn from what happened next."""


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; the exit code says how it ended, one line on stderr says why."""
    try:
        status = command_line.main(args=arguments, prog_name="cxi-bandit", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return BAD_INPUT
    except click.Abort:
        return _complain("interrupted", _INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the last resort: one line instead of a stack trace
        return _explain(error)
    return status if isinstance(status, int) else DONE


def gate_status(error: RefusedByGate) -> int:
    """The exit code where the gate does not say go."""
    return WAIT if error.decision is Ruling.WAIT else REFUSED


def _explain(error: Exception) -> int:
    if isinstance(error, _BAD_INPUT):
        return _complain(str(error), BAD_INPUT)
    if isinstance(error, RefusedByGate):
        return _complain(f"the gate says {error.decision.value}: {error}", gate_status(error))
    if isinstance(error, Unavailable | EvidenceConflict | RolloutConflict):
        return _complain(str(error), UNAVAILABLE)
    kind = "" if isinstance(error, CxiBanditError) else f"{type(error).__name__}: "
    return _complain(f"internal error: {kind}{error}", INTERNAL)


def _complain(line: str, status: int) -> int:
    sys.stderr.write(f"cxi-bandit: {line}\n")
    return status
