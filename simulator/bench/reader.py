"""Somebody who looks at the console, signed in as people are."""

import re
import time
from http.cookiejar import CookieJar
from typing import Final
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

from cxi_bandit.domain.errors import Unavailable
from simulator.bench.servers import Service

_TOKEN: Final = re.compile(rb'name="_csrf_token" value="([^"]+)"')
_SECONDS: Final = 60.0


class Reader:
    """A session in the console of a service whose keys were made."""

    def __init__(self, server: Service) -> None:
        self._console = f"http://127.0.0.1:{server.port}/console"
        self._opener = build_opener(HTTPCookieProcessor(CookieJar()))
        token = _TOKEN.search(self._get("/sign-in"))
        if token is None:
            raise Unavailable("the console's sign-in")
        secret = server.reading.rpartition(" ")[2]
        form = {"_csrf_token": token[1].decode(), "key": secret, "next": "/console"}
        with self._opener.open(f"{self._console}/sign-in", urlencode(form).encode(), timeout=_SECONDS) as answer:
            answer.read()

    def overview_milliseconds(self) -> float:
        """How long the overview takes, from the request to the whole page.

        Raises:
            Unavailable: What came was another page.
        """
        started = time.perf_counter()
        page = self._get("")
        taken = (time.perf_counter() - started) * 1e3
        if b"Reward per decision" not in page:
            raise Unavailable("the overview's figures")
        return taken

    def _get(self, path: str) -> bytes:
        with self._opener.open(self._console + path, timeout=_SECONDS) as answer:
            body: bytes = answer.read()
        return body
