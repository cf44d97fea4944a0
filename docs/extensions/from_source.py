"""Pages that the code itself fills: a comment says what stands there, and is replaced when the page is read."""

import pkgutil
import re
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from contract_page import contract_page
from sphinx.application import Sphinx

from cxi_bandit.bootstrap import in_memory_engine
from cxi_bandit.service.app import create_app
from cxi_bandit.service.openapi import openapi
from cxi_bandit.settings import Settings
from cxi_bandit.store.spool import SpoolShelf
from cxi_bandit.telemetry.log import open_log
from cxi_bandit.telemetry.metrics import Metrics

_PLACE: Final = re.compile(r"^<!-- (contract|modules of (?P<package>[\w.]+)) -->$", re.MULTILINE)
_SPOOL_BYTES: Final = 1 << 20


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx's entrance."""
    app.connect("source-read", _fill)
    return {"parallel_read_safe": True}


def _fill(_app: Sphinx, _page: str, source: list[str]) -> None:
    source[0] = _PLACE.sub(_filling, source[0])


def _filling(place: re.Match[str]) -> str:
    return _contract() if place["package"] is None else "\n".join(_modules(place["package"]))


def _contract() -> str:
    """The routes as a service with the shipped policies serves them."""
    with tempfile.TemporaryDirectory() as directory:
        engine = in_memory_engine(Settings().manifest_texts())
        shelf = SpoolShelf(Path(directory), _SPOOL_BYTES)
        app = create_app(engine, Settings(dev=True), open_log("docs", "error"), Metrics(), shelf)
        return contract_page(openapi(app))


def _modules(package: str) -> Iterator[str]:
    """Each public module of a package with its docstrings; packages within it have pages of their own."""
    room = import_module(package)
    for module in pkgutil.iter_modules(room.__path__):
        if module.ispkg or module.name.startswith("_"):
            continue
        yield from (f"## {module.name}", "```{eval-rst}", f".. automodule:: {package}.{module.name}", "```", "")
