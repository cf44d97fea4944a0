"""`--report`: the page of an evaluation, and the command that gives it again."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click
from click.core import ParameterSource

from cxi_bandit.domain.errors import InvalidInput

if TYPE_CHECKING:
    from simulator.replay import Replay

# Where the numbers come from and where they go: not part of what they are, and a database's URL holds a password.
_LEFT_OUT = frozenset({"data_dir", "database_url", "as_json", "page"})


def _checked(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:  # noqa: ARG001 - click's signature
    """Before the log is read: a long evaluation must not end without a place for its page."""
    if path is not None and not path.absolute().parent.is_dir():
        raise click.BadParameter(f"there is no directory {path.parent}")
    return path


PAGE = click.option(
    "--report",
    "page",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    callback=_checked,
    metavar="FILE.html",
    help="Write the report as one self-contained page as well.",
)


@dataclass(frozen=True)
class PageRequest:
    """A page to be written.

    Args:
        command: What was asked, as it would be typed.
    """

    path: Path
    command: str

    def write(self, replay: "Replay") -> None:
        """Writes the page of a replay with measures, whole or not at all.

        Raises:
            InvalidInput: The file cannot be written.
        """
        from simulator.reporting import contents, rendered  # noqa: PLC0415 - heavy, see the package

        document = rendered(contents(replay, _again(self.command, replay)))
        unfinished = self.path.with_name(f".{self.path.name}.part")
        try:
            unfinished.write_text(document, "utf-8")
            unfinished.replace(self.path)
        except OSError as error:
            raise InvalidInput("--report", f"cannot write {self.path}: {error.strerror}") from error


def page_request(context: click.Context, path: Path | None) -> PageRequest | None:
    """The page that was asked for."""
    return None if path is None else PageRequest(path, command_of(context))


def command_of(context: click.Context) -> str:
    """What was asked, without what is left out of a report, whether it came from options or from the environment."""
    words = ["cxi-bandit", context.info_name or ""]
    for parameter in context.command.params:
        name, value = parameter.name or "", context.params.get(parameter.name or "")
        asked = context.get_parameter_source(name) not in {ParameterSource.DEFAULT, None}
        if isinstance(parameter, click.Option) and asked and name not in _LEFT_OUT:
            words.extend(_words(parameter, value))
    return shlex.join(words)


def _words(option: click.Option, value: Any) -> Iterator[str]:  # noqa: ANN401 - an option's value is of any type
    if option.is_bool_flag:
        yield (option.opts if value else option.secondary_opts or option.opts)[0]
    elif option.is_flag:
        if value == option.flag_value:
            yield option.opts[0]
    else:
        for each in value if option.multiple else (value,):
            yield option.opts[0]
            yield each.isoformat() if hasattr(each, "isoformat") else str(each)


def _again(command: str, replay: "Replay") -> str:
    """The command with a live log's cut, unless it names one or goes on with a trial."""
    if replay.snapshot is None or replay.report.trial is not None or "--as-of" in shlex.split(command):
        return command
    return f"{command} --as-of {replay.snapshot.option}"
