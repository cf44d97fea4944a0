"""What a command is here: declared with its examples and its page, done by code that is imported when it runs.

A declaration costs next to nothing to import, so that help and completion answer at once; the work brings the engine,
the database's driver and the numbers with it.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Final, NamedTuple

import rich_click as click

from cxi_bandit.cli.nearest import nearest

_VARIABLE: Final = "CXI_BANDIT_"


class Example(NamedTuple):
    """A command line, and what somebody would type it for."""

    line: str
    says: str


def _late(work: str) -> Callable[..., Any]:
    """`module:function`, imported when it is called."""
    module, _, function = work.partition(":")

    def done(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - whatever was declared
        return getattr(import_module(module), function)(*arguments, **options)

    return done


class Command(click.RichCommand):
    """One command.

    Args:
        work: `module:function` that does it; None where the decorated function does.
        examples: Lines with what they are for; every command has one.
        page: The page of the documentation that says more, from `docs/` on.
    """

    def __init__(
        self,
        *arguments: Any,  # noqa: ANN401 - click's own
        work: str | None = None,
        examples: Sequence[tuple[str, str]] = (),
        page: str = "",
        **attributes: Any,  # noqa: ANN401 - click's own
    ) -> None:
        self.examples = tuple(Example(*one) for one in examples)
        self.page = page
        if work is not None:
            attributes["callback"] = _late(work)
        # A command's own options come before those that many commands take.
        attributes |= {"epilog": _epilog(self.examples, page), "panels": [click.RichOptionPanel("Options")]}
        super().__init__(*arguments, **attributes)
        _name_variables(self.params)

    def format_epilog(self, ctx: click.RichContext, formatter: click.RichHelpFormatter) -> None:  # type: ignore[override]  # noqa: ARG002 - as rich_click declares it
        """The examples and the page."""
        _write(self.examples, self.page, formatter)


class CommandGroup(Command, click.RichGroup):  # type: ignore[misc]  # as rich_click's own group is to click's
    """Commands under one name; with `work` it does something by itself too, when none of them is named."""

    command_class = Command

    def __init__(
        self,
        *arguments: Any,  # noqa: ANN401 - click's own
        work: str | None = None,
        **attributes: Any,  # noqa: ANN401 - click's own
    ) -> None:
        if work is not None:
            attributes |= {"callback": _alone(_late(work)), "invoke_without_command": True}
        super().__init__(*arguments, **attributes)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first word names; one that is misspelt is told what it resembles."""
        if not ctx.resilient_parsing and args[0][:1].isalnum() and self.get_command(ctx, args[0]) is None:
            ctx.fail(f"No such command {args[0]!r}{nearest(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)


def _alone(done: Callable[..., Any]) -> Callable[..., Any]:
    """Nothing where one of the group's commands is named: that one does its own."""

    def unless_named(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - whatever was declared
        context = click.get_current_context(silent=True)
        named = context is not None and context.invoked_subcommand is not None
        return None if named else done(*arguments, **options)

    return unless_named


def _name_variables(parameters: Sequence[click.Parameter]) -> None:
    """Every option is an environment variable too, named after its longest form, and its help says so."""
    for option in parameters:
        if not isinstance(option, click.Option) or not option.expose_value:
            continue  # --help and --version are asked for, not set
        if option.is_flag and not option.is_bool_flag:
            continue  # several options of one meaning, such as --gate and --plan, have no variable that could be named
        if option.envvar is None:
            option.envvar = _VARIABLE + max(option.opts, key=len).lstrip("-").replace("-", "_").upper()
        option.show_envvar = True


def _epilog(examples: Sequence[Example], page: str) -> str | None:
    """The same as reStructuredText, for a reference made of these texts."""
    shown = [f"   # {one.says}\n   $ {one.line}" for one in examples]
    parts = ["Examples::\n\n" + "\n".join(shown)] if shown else []
    parts += [f"More in ``docs/{page}``."] if page else []
    return "\n\n".join(parts) or None


def _write(examples: Sequence[Example], page: str, formatter: click.RichHelpFormatter) -> None:
    from rich.text import Text  # noqa: PLC0415 - completion needs none of it

    told = Text()
    if examples:
        told.append(" Examples\n", style="bold")
    for one in examples:
        told.append(f"   # {one.says}\n", style="dim").append(f"   $ {one.line}\n")
    if page:
        told.append(f"\n More in docs/{page}\n" if examples else f" More in docs/{page}\n", style="dim")
    # Not wrapped: a line that is copied must stay one.
    formatter.write(told, soft_wrap=True)
