"""The reference pages name all that is there and nothing else: settings, routes, problems, commands, exit codes.

Keys of the manifest are compared by tests/unit/policy/test_reference.py.
"""

import re
from collections.abc import Iterator
from typing import Any, get_type_hints

import click
import msgspec
import pytest
import structlog
from litestar import Litestar

from cxi_bandit.bootstrap import in_memory_engine
from cxi_bandit.cli import command_line, complaints
from cxi_bandit.service import problems
from cxi_bandit.service.app import create_app
from cxi_bandit.service.openapi import openapi
from cxi_bandit.settings import Settings, variable
from cxi_bandit.store.spool import SpoolShelf
from cxi_bandit.telemetry.metrics import Metrics
from simulator.manifests import shipped_texts
from tests.harness.commands import commands
from tests.harness.pages import ROOT

REFERENCE = ROOT / "docs" / "reference"
FRAMEWORKS_OWN = {"method-not-allowed": 405, "request-entity-too-large": 413, "internal-error": 500}
"""Problems that stand for what the framework raises, and for what nobody foresaw."""
IDENTIFIER = re.compile(r"\{\w+_id\}")


def page(name: str) -> str:
    return (REFERENCE / f"{name}.md").read_text("utf-8")


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of every table that begins so."""
    found = re.findall(rf"^\| {re.escape(heading)}.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert found, heading
    return [[cell.strip() for cell in line.strip("|").split("|")] for table in found for line in table.splitlines()]


def allowed(kind: Any) -> str:
    meta = next((each for each in getattr(kind, "__metadata__", ()) if isinstance(each, msgspec.Meta)), msgspec.Meta())
    low, above, high = meta.ge, meta.gt, meta.le
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    if low is not None:
        return f"at least {low:.15g}"
    if above is None:
        return ""
    return f"above {above:g}" if high is None else f"above {above:g}, to {high:g}"


def test_every_setting_is_there_with_its_default_and_its_range() -> None:
    text = page("settings")
    listed = {row[0].strip("`"): (row[1].strip("`"), row[2]) for row in rows(text, "variable | default")}
    kinds = get_type_hints(Settings, include_extras=True)
    public = {name: kinds[name] for name in Settings.__struct_fields__ if not name.endswith(("_fd", "_pid"))}
    assert listed.keys() == {variable(name) for name in public}
    for name, kind in public.items():
        default = getattr(Settings(), name)
        said = "" if default is None else str(default).lower() if isinstance(default, bool) else str(default)
        assert listed[variable(name)] == (said, allowed(kind)), name
    private = {variable(name) for name in set(Settings.__struct_fields__) - public.keys()}
    assert set(re.findall(r"CXI_BANDIT_\w+", text.partition("## Not yours")[2])) == private


@pytest.fixture
def contract(shelf: SpoolShelf) -> dict[str, Any]:
    quiet = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(50))
    app: Litestar = create_app(in_memory_engine(shipped_texts().items()), Settings(dev=True), quiet, Metrics(), shelf)
    return openapi(app)


def routes(contract: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """`METHOD /path` as pages write it, and the scope it needs; "" for none."""
    for path, methods in contract["paths"].items():
        for method, operation in methods.items():
            scope = re.search(r"`(\w+)`", operation.get("description", ""))
            route = IDENTIFIER.sub("{id}", path)
            yield f"{method.upper()} {route}", scope[1] if scope else ""


def test_every_route_is_there_with_the_scope_it_needs(contract: dict[str, Any]) -> None:
    text = page("http")
    by_scope = {row[0].strip("`"): set(re.findall(r"`([A-Z]+ [^`]+)`", row[1])) for row in rows(text, "scope | opens")}
    (closing,) = re.findall(r"^Open to everyone: (.*?)`401`", text, re.MULTILINE | re.DOTALL)
    by_scope[""] = set(re.findall(r"`([A-Z]+ [^`]+)`", closing))
    found: dict[str, set[str]] = {}
    for route, scope in routes(contract):
        found.setdefault(scope, set()).add(route)
    assert by_scope == found


def test_every_route_has_words_of_its_own(contract: dict[str, Any]) -> None:
    said = page("http").partition("## Ask what to do")[2]
    silent = [route for route, _ in routes(contract) if route not in said]
    assert silent == []


def test_every_problem_is_there_with_its_status() -> None:
    listed = {row[0].strip("`"): int(row[1]) for row in rows(page("http"), "type `urn:cxi-bandit:problem:`")}
    real = {kind.name: int(kind.status) for _, kind in problems._KINDS}
    assert listed == real | FRAMEWORKS_OWN


def test_every_command_is_there_with_a_page_that_uses_it() -> None:
    listed = {row[0].strip("`"): row[2] for row in rows(page("cli"), "command | what it does")}
    assert listed.keys() == {name for name, _ in commands(command_line)}
    for name, link in listed.items():
        for target in re.findall(r"\]\(([^)]+)\)", link):
            used = (REFERENCE / target).resolve().read_text("utf-8")
            assert f"cxi-bandit {name}" in used or f"`{name}" in used, (name, target)


def test_every_option_says_what_it_is_for() -> None:
    mute = [
        f"{name} {option.opts[0]}"
        for name, command in commands(command_line)
        for option in command.params
        if isinstance(option, click.Option) and not option.help
    ]
    assert mute == []


def test_every_option_that_a_page_names_is_one_of_some_command() -> None:
    known = {word for _, command in commands(command_line) for option in command.params for word in option.opts}
    known |= {"--help", "--version"}
    for path in sorted((ROOT / "docs" / "howto").glob("*.md")):
        # Options of other programs stand in their own commands' blocks.
        named = set(re.findall(r"(?<=`)(--[a-z][a-z-]+)", path.read_text("utf-8")))
        assert named <= known | {"--dsjson"}, path.name


def test_every_exit_code_is_there_wherever_they_are_listed() -> None:
    real = {value for name, value in vars(complaints).items() if name.isupper() and isinstance(value, int)}
    assert {int(row[0]) for row in rows(page("cli"), "code | when")} == real
    howto = (ROOT / "docs/howto/when-a-command-fails.md").read_text("utf-8")
    assert {int(row[0]) for row in rows(howto, "code | what")} == real
    assert {int(row[0]) for row in rows(page("replay"), "code | when")} <= real
