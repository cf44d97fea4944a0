"""From what a page shows to its HTML: templates, rendered in threads so that no decision waits for a page."""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Response
from litestar.plugins.htmx import HTMXRequest
from litestar.plugins.jinja import JinjaTemplateEngine

from cxi_bandit.domain.access import Scope
from cxi_bandit.service.console.charts import data_block
from cxi_bandit.service.console.formats import FORMATS
from cxi_bandit.service.console.security import PATH
from cxi_bandit.service.console.static_files import addresses
from cxi_bandit.service.routing import in_thread

_TEMPLATES: Final = Path(__file__).parent / "templates"
HTML: Final = "text/html"

NAVIGATION: Final = (
    (PATH, "Overview"),
    (f"{PATH}/policies", "Policies"),
    (f"{PATH}/evaluations", "Evaluations"),
    (f"{PATH}/decisions", "Decisions"),
    (f"{PATH}/quarantine", "Quarantine"),
)
"""Where the pages begin, in the order of the navigation."""

T = TypeVar("T")
Read = Callable[[], Mapping[str, Any]]


class Pages:
    """The console's pages, as its routes answer with them.

    Args:
        threads: The console's own, where pages are read and rendered.
        now: For "so long ago".
    """

    def __init__(self, threads: Executor, now: Callable[[], datetime], *, dev: bool) -> None:
        self._threads = threads
        self.engine = JinjaTemplateEngine.from_environment(_environment(now, dev=dev))

    async def show(self, request: HTMXRequest, template: str, read: Read, *, status: int = 200) -> Response[str]:
        """A page or a part of one.

        Args:
            template: The file's name in `templates/`; a part of a page has a file of its own in `templates/parts/`.
            read: Gives what the template names, in a thread: it may ask the store.
        """
        html = await in_thread(self._threads, lambda: self.render(request, template, read()))
        return Response(html, status_code=status, media_type=HTML)

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Awaits what a page does, where pages are read."""
        return await in_thread(self._threads, call)

    def part(self, template: str, context: Mapping[str, Any]) -> str:
        """A part of a page that is the same for every reader."""
        return self.engine.get_template(template).render(context)

    def render(self, request: HTMXRequest, template: str, context: Mapping[str, Any]) -> str:
        """The HTML. The names `request`, `holder` and `may` stand in every template."""
        holder = request.scope.get("user")
        scopes = frozenset() if holder is None else holder.scopes
        told = {"request": request, "holder": holder, "may": {scope.value: scope in scopes for scope in Scope}}
        return self.engine.get_template(template).render({**context, **told})


def shown_to(scope: Scope) -> dict[str, Any]:
    """A page's `opt`: who may see it, or send it. It has no summary, so the contract for programs leaves it out."""
    return {"access": scope}


def _environment(now: Callable[[], datetime], *, dev: bool) -> Environment:
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        auto_reload=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(FORMATS)
    made.filters["data_block"] = data_block
    made.globals.update(
        root=PATH,
        dev=dev,
        release=version("cxi-bandit"),
        now=now,
        navigation=NAVIGATION,
        static=addresses(),
    )
    return made
