"""After an outage windows close later: senders who were refused meanwhile need time to send their rewards again.

Without it every window that ended in an outage, or soon after, would close in the first pass as if nothing had happened
to those shoppers, and models would learn that. The sequencer leaves a sign of life; a long silence is an outage,
whichever part of the system it was. It is measured by the database's own clock.
"""

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from cxi_bandit.store.postgres.connection import Connection

_OUTAGE: Final = timedelta(seconds=30)
_LONGEST: Final = timedelta(minutes=15)
_RECENT: Final = timedelta(days=2)
_SIGN_OF_LIFE: Final = timedelta(seconds=1)

_NOTE: Final = """
INSERT INTO sequencer_passes (last_at, held_before, held_until)
VALUES (%b::timestamptz, %b::timestamptz, %b::timestamptz)
ON CONFLICT (one) DO UPDATE SET
  last_at = excluded.last_at, held_before = excluded.held_before, held_until = excluded.held_until
"""


class SignOfLife(NamedTuple):
    """What the passes before left behind, and the moment at which this one read it."""

    now: datetime
    last_at: datetime | None
    held_before: datetime | None
    held_until: datetime | None


def latest_close(connection: Connection, seen: SignOfLife, before: datetime) -> datetime:
    """Until when a window must have ended to be closed now: `before`, or earlier while an outage is made up for.

    After a silence of more than half a minute, windows that ended since it began wait as long again, fifteen minutes at
    most. Senders repeat at growing intervals, so those who could not get through try again within about that time.
    """
    now, last_at, held_before, held_until = seen
    if now - before > _RECENT:
        # A command that only gives rewards their places closes nothing: no sign that the service is up again.
        return before
    if held_until is not None and held_until <= now:
        held_before = held_until = None
    if last_at is not None and now - last_at > _OUTAGE:
        held_before = last_at if held_before is None else min(held_before, last_at)
        held_until = now + min(now - last_at, _LONGEST)
    if last_at is None or now - last_at > _SIGN_OF_LIFE:
        connection.execute(_NOTE, [now, held_before, held_until])
    return before if held_before is None else min(before, held_before)
