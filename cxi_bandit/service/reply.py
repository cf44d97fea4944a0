"""What goes back to a caller: the framework sends it, or it is sent past it, the same to the byte."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec
from litestar.response.base import ASGIResponse
from litestar.types import Send

Headers = Iterable[tuple[bytes, bytes]]

_JSON: Final = "application/json"
_ENCODER: Final = msgspec.json.Encoder()
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class Reply(NamedTuple):
    """An answer as it travels.

    Attributes:
        headers: Those beside content type and length.
    """

    body: bytes
    status: int
    media_type: str
    headers: Mapping[str, str]

    def response(self) -> ASGIResponse:
        """For the framework to send."""
        return ASGIResponse(
            body=self.body, status_code=self.status, media_type=self.media_type, headers=dict(self.headers)
        )

    async def send(self, headers: Callable[[Headers], Headers], send: Send) -> None:
        """Past the framework, with the same headers in the same order.

        Args:
            headers: Given those of the answer, and gives those to send.
        """
        usual: Headers = [
            *[(name.lower().encode(), value.encode("latin-1")) for name, value in self.headers.items()],
            (b"content-type", self.media_type.encode()),
            (b"content-length", b"%d" % len(self.body)),
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers(usual)})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


def json_reply(message: object, status: int = 200, headers: Mapping[str, str] = _NO_HEADERS) -> Reply:
    """A message as the answer, without the framework's own way of encoding: that costs more than deciding."""
    return Reply(_ENCODER.encode(message), status, _JSON, headers)
