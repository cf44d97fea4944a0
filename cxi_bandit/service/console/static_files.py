"""The style sheet, the scripts and what else a page asks for: what lies in `static/`, and nothing else."""

import hashlib
from pathlib import Path
from typing import Final

from litestar import get
from litestar.datastructures import CacheControlHeader
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import File

from cxi_bandit.domain.errors import NotFound
from cxi_bandit.service.auth import OPEN
from cxi_bandit.service.console.security import STATIC

_DIRECTORY: Final = Path(__file__).parent / "static"
_YEAR_SECONDS: Final = 365 * 86_400


def addresses() -> dict[str, str]:
    """Where each file is, by name: another address when it is another file, so that browsers may keep it."""
    return {
        path.name: f"{STATIC}/{path.name}?{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
        for path in _DIRECTORY.iterdir()
    }


def static_routes() -> list[HTTPRouteHandler]:
    """The handler. It stands apart from the pages: an answer that is kept must bring no cookie."""
    names = frozenset(path.name for path in _DIRECTORY.iterdir())

    @get(
        f"{STATIC}/{{name:str}}",
        opt={"access": OPEN},
        cache_control=CacheControlHeader(max_age=_YEAR_SECONDS, immutable=True),
    )
    async def static_file(name: FromPath[str]) -> File:
        if name not in names:
            raise NotFound("file", name[:64])
        return File(_DIRECTORY / name, filename=name, content_disposition_type="inline")

    return [static_file]
