"""Secrets taken out of free text: the last wall, should an error's words hold one. Nothing of ours puts them there."""

import logging
import re
from typing import Final

_WITHHELD: Final = "[withheld]"
_SECRETS: Final = re.compile(
    r"(?P<kept>\bcxi_)[0-9A-Za-z]{20,}"  # API keys
    r"|(?P<webhook>\bwhsec_)[A-Za-z0-9+/=]+"
    r"|(?P<signature>\bv1a?,)[A-Za-z0-9+/]{20,}=*"
    r"|(?P<bearer>\bBearer\s+)\S+"
    r"|(?P<user>://[^\s:/@]*:)\S+(?=@)"  # the password of an address; greedy, since it may hold an @ itself
    r"|(?P<password>\bpassword\s*=\s*)(?:'(?:[^'\\]|\\.)*'|[^\s&]+)"
    # What a database adds to an error quotes rows: keys of callers, whatever they sent.
    r"|(?P<detail>^(?:DETAIL|CONTEXT):)[^\n]*",
    re.IGNORECASE | re.MULTILINE,
)


def redacted(text: str) -> str:
    """`text` without what looks like a secret."""
    return _SECRETS.sub(lambda match: f"{match[match.lastgroup or 0]}{_WITHHELD}", text)


class RedactingFormatter(logging.Formatter):
    """For the loggers of libraries, whose words are not ours."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's line."""
        return redacted(super().format(record))
