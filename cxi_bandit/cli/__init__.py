"""The command line: every command in a file of its own, every error one clear line and an exit code."""

from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import entry_points
from typing import Final

import rich_click as click

from cxi_bandit.cli.command import CommandGroup
from cxi_bandit.cli.complaints import BAD_INPUT, DONE, INTERRUPTED, complain, tell

COMMANDS: Final = (
    "approve",
    "audit",
    "backup",
    "completion",
    "erase",
    "explain",
    "halt",
    "keys",
    "override",
    "overrides",
    "policies",
    "promotions",
    "propose",
    "quarantine",
    "rebuild",
    "recount",
    "refuse",
    "restore",
    "rollback",
    "serve",
    "shadow",
    "unlearn",
    "watches",
)
"""Our own commands, each declared in a module of `commands` of its name; others join by the entry-point group."""

_GROUP: Final = "cxi_bandit.commands"


class LazyGroup(CommandGroup):
    """Imports a command's declaration when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Our own commands and those of installed packages, by name."""
        return sorted({*COMMANDS, *(point.name for point in entry_points(group=_GROUP))})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """The command, imported now; None when there is none of this name."""
        if cmd_name in COMMANDS:
            command = getattr(import_module(f"cxi_bandit.cli.commands.{cmd_name}"), cmd_name)
        else:
            point = next(iter(entry_points(group=_GROUP, name=cmd_name)), None)
            if point is None:
                return None
            command = point.load()
        return command if isinstance(command, click.Command) else None


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    page="howto/run-the-service.md",
    examples=(
        ("cxi-bandit demo", "see it learn, and see it proved, in about a minute"),
        ("cxi-bandit serve --dev", "the whole service on this machine, without keys"),
        ("cxi-bandit replay --help", "options and examples of one command"),
    ),
)
@click.version_option(package_name="cxi-bandit")
def command_line() -> None:
    """Decide whether and how to intervene when a shopping experience goes wrong, and learn from what happened next."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; the exit code says how it ended, one line on stderr says why."""
    try:
        status = command_line.main(args=arguments, prog_name="cxi-bandit", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return BAD_INPUT
    except click.Abort:
        return complain("interrupted", INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the last resort: one line instead of a stack trace
        return tell(error)
    return status if isinstance(status, int) else DONE
