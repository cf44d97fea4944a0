"""What the command line's help says: of every command an example, and every example runs as it stands."""

import itertools
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import psycopg
import pytest
import rich_click as click
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from cxi_bandit.cli import command_line, main
from cxi_bandit.cli.command import Command, CommandGroup
from tests.harness.commands import tree
from tests.harness.prepared import Prepared, prepared_database

ROOT: Final = Path(__file__).parents[2]
HEAVY: Final = (
    "numpy",
    "polars",
    "scipy",
    "matplotlib",
    "litestar",
    "vowpalwabbit",
    "psycopg",
    "sqlalchemy",
    "structlog",
)


ALL: Final = list(tree(command_line))
NAMES: Final = [" ".join(path) or "cxi-bandit" for path, _ in ALL]


@pytest.mark.parametrize("command", [command for _, command in ALL], ids=NAMES)
def test_every_command_has_an_example_a_page_and_words_for_every_option(command: click.Command):
    assert isinstance(command, Command), "declared as the others are"
    assert command.help
    assert command.examples
    assert (ROOT / "docs" / command.page).is_file()
    for option in command.params:
        if isinstance(option, click.Option) and option.expose_value:
            assert option.help, option.name
            assert option.help.endswith((".", "?")), option.help
            assert "[default" not in option.help, "click shows it"
            assert "[env" not in option.help, "click shows it"
            if option.is_bool_flag or not option.is_flag:
                assert option.show_envvar
                assert str(option.envvar).startswith(("CXI_BANDIT_", "DATABASE_URL"))


def test_a_variable_means_one_option():
    named: dict[str, set[str]] = {}
    for _, command in ALL:
        for option in command.params:
            if isinstance(option, click.Option) and option.envvar is not None:
                named.setdefault(str(option.envvar), set()).add(option.opts[0])
    assert {variable: options for variable, options in named.items() if len(options) > 1} == {}


@pytest.mark.parametrize("path", [path for path, _ in ALL], ids=NAMES)
def test_help_shows_the_examples_and_the_page(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]):
    assert main([*path, "--help"]) == 0
    told = capsys.readouterr().out
    command = dict(ALL)[path]
    assert isinstance(command, Command)
    for example in command.examples:
        assert f"$ {example.line}" in told
        assert f"# {example.says}" in told
    assert f"More in docs/{command.page}" in told


def test_help_and_completion_import_nothing_heavy():
    program = (
        "import sys\n"
        "from cxi_bandit.cli import command_line, main\n"
        "import rich_click as click\n"
        "main(['--help'])\n"
        "main(['replay', '--help'])\n"
        "main(['policies', 'warm', '--help'])\n"
        "from click.shell_completion import ShellComplete\n"
        "shell = ShellComplete(command_line, {}, 'cxi-bandit', '_CXI_BANDIT_COMPLETE')\n"
        "for words in ([], ['rollback'], ['replay', '--log'], ['override', 'search', '--segment']):\n"
        "    assert shell.get_completions(words, ''), words\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr.strip() == "[]"


def test_a_group_says_what_a_misspelt_command_resembles(capsys: pytest.CaptureFixture[str]):
    for words, meant in ((["rollbak"], "rollback"), (["keys", "crate"], "create")):
        assert main(words) == 2
        assert f"No such command {words[-1]!r}; did you mean {meant}?" in capsys.readouterr().err


class Line(NamedTuple):
    """An example, and what must be done before it makes sense."""

    words: str
    first: tuple[str, ...] = ()


PARSED_ONLY: Final = ("serve ", "demo", "restore ", "replay --help", "completion")
"""A service is started by the README's test, a demo by its own, a backup restored by its how-to's; the rest is text."""

FIRST: Final[Mapping[str, tuple[str, ...]]] = {
    "rollback": ("approve 1",),
    "shadow search --version 2 --leave": ("shadow search --version 2",),
    "replay --log obd-all": ("import obd all.csv --items item_context.csv --log obd-all",),
}
ENDS: Final[Mapping[str, set[int]]] = {"replay": {0, 1, 3}}
"""A replay of forty decisions is run, and rightly refused: 1 is an answer, not a failure."""

EXAMPLES: Final = list(
    dict.fromkeys(example.line for _, command in ALL if isinstance(command, Command) for example in command.examples)
)
numbers = itertools.count(1)


def of(line: str, table: Mapping[str, object]) -> object | None:
    return next((value for start, value in table.items() if start in line), None)


@pytest.mark.parametrize("line", EXAMPLES)
def test_an_example_is_a_command_with_options_that_it_has(line: str):
    words = shlex.split(re.sub(r'^eval "\$\((.*)\)"$', r"\1", line.rpartition("| ")[2]).replace("\\\n", ""))
    assert words[0] == "cxi-bandit"
    if words[-1] != "--help":
        command_line.make_context("cxi-bandit", words[1:], resilient_parsing=False)
    context: click.Context | None = None
    command: click.Command = command_line
    rest = words[1:]
    while isinstance(command, CommandGroup) and rest and not rest[0].startswith("-"):
        context = click.Context(command)
        found = command.get_command(context, rest[0])
        assert found is not None, line
        command, rest = found, rest[1:]
    if rest != ["--help"]:
        options = {flag for option in command.params for flag in (*option.opts, *option.secondary_opts)}
        assert {word for word in rest if word.startswith("--")} <= options


@pytest.fixture(scope="module")
def prepared(postgres_server: str, _template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    with prepared_database(postgres_server, _template, tmp_path_factory.mktemp("examples")) as made:
        yield made


@pytest.mark.parametrize("line", [line for line in EXAMPLES if not any(part in line for part in PARSED_ONLY)])
def test_every_example_runs(
    line: str, prepared: Prepared, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    server, template, folder, decision, model = prepared
    name = f"example_{os.getpid()}_{next(numbers)}"
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "200")
    with psycopg.connect(server, autocommit=True) as connection:
        copy = SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        connection.execute(copy.format(Identifier(name), Identifier(template)))
        try:
            monkeypatch.setenv("DATABASE_URL", make_conninfo(server, dbname=name))
            for before in of(line, FIRST) or ():
                assert main(shlex.split(before)) == 0, capsys.readouterr().err
            capsys.readouterr()
            typed, _, piped = line.partition(" | ")
            if piped:
                (folder / "stdin").write_text(typed.removeprefix("echo ") + "\n")
                with (folder / "stdin").open() as stdin:
                    monkeypatch.setattr(sys, "stdin", stdin)
                    ended = main(shlex.split(piped)[1:])
            else:
                ended = main(known(typed, decision, model))
            told = capsys.readouterr()
            assert ended in (of(line, ENDS) or {0}), told.err
        finally:
            connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


def known(line: str, decision: str, model: int) -> list[str]:
    """The example with what a database cannot be made to have: this decision's id, that model's number, now."""
    until = f"{datetime.now(UTC) + timedelta(hours=6):%Y-%m-%dT%H:%M:%SZ}"
    line = re.sub(r"\$\(date [^)]*\)", until, line.replace("\\\n", ""))
    line = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", decision, line)
    return shlex.split(re.sub(r"(model:search@|--model )18", rf"\g<1>{model}", line))[1:]
