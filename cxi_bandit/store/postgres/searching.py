"""Searches of the decision log in PostgreSQL: along an index from the newest back, never past a bound of rows."""

from typing import Final

from psycopg.sql import SQL

from cxi_bandit.domain.identifiers import PAST_ALL, DecisionId
from cxi_bandit.domain.outcome import OutcomeStanding
from cxi_bandit.domain.search import Found, SetAsides, Wanted
from cxi_bandit.store.postgres import decision_rows
from cxi_bandit.store.postgres.connection import Connection

# The inner query goes along the index and ends at the bound; the outer one ends it earlier once the page is full. The
# row at the bound comes back whether it fits or not: from there the search goes on.
_SEARCH: Final = """
SELECT {columns}, d.fits, d.place FROM (
  SELECT d.*, row_number() OVER (ORDER BY d.decision_id DESC) AS place, (
    (%(surface)b::text IS NULL OR d.surface = %(surface)b::text)
    AND (%(policy)b::text IS NULL OR d.policy = %(policy)b::text)
    AND (%(intervention)b::text IS NULL OR d.intervention = %(intervention)b::text)
  ) AS fits
  FROM decisions d
  WHERE {whose} d.decision_id >= %(since)b AND d.decision_id < %(until)b
  ORDER BY d.decision_id DESC LIMIT %(look)b::bigint
) d
WHERE d.fits OR d.place = %(look)b::bigint ORDER BY d.decision_id DESC LIMIT %(limit)b::bigint
"""
_OF_ALL: Final = SQL(_SEARCH).format(columns=decision_rows.COLUMNS, whose=SQL(""))
_OF_SUBJECT: Final = SQL(_SEARCH).format(columns=decision_rows.COLUMNS, whose=SQL("d.subject = %(subject)b::bytea AND"))

# Most rows are those of decisions that were answered once more, and so seen after all.
_SET_ASIDES: Final = """
SELECT s.decision_id, s.reason, s.place FROM (
  SELECT decision_id, reason, row_number() OVER (ORDER BY decision_id DESC) AS place
  FROM set_asides WHERE decision_id < %(before)b
  ORDER BY decision_id DESC LIMIT %(look)b::bigint
) s
WHERE s.reason <> 'answered' OR s.place = %(look)b::bigint ORDER BY s.decision_id DESC LIMIT %(limit)b::bigint
"""
_ANSWERED: Final = "answered"


def search(connection: Connection, wanted: Wanted, before: DecisionId | None, limit: int, look: int) -> Found:
    """See the port."""
    since, until = wanted.between(before)
    asked = {
        "since": since,
        "until": until,
        "subject": wanted.subject,
        "surface": wanted.surface,
        "policy": wanted.policy,
        "intervention": wanted.intervention,
        "look": look,
        "limit": limit + 1,
    }
    with connection.cursor(binary=True) as cursor:
        rows = cursor.execute(_OF_ALL if wanted.subject is None else _OF_SUBJECT, asked).fetchall()
    found = [decision_rows.read(row) for *row, fits, _ in rows if fits]
    if len(found) > limit:
        return Found(decisions=found[:limit], before=found[limit - 1].decision_id)
    at_the_bound = rows[-1][0] if rows and rows[-1][-1] == look else None
    return Found(decisions=found, before=at_the_bound)


def set_asides(connection: Connection, before: DecisionId | None, limit: int, look: int) -> SetAsides:
    """See the port."""
    asked = {"before": before or PAST_ALL, "look": look, "limit": limit + 1}
    with connection.cursor(binary=True) as cursor:
        rows = cursor.execute(_SET_ASIDES, asked).fetchall()
    found = [(name, OutcomeStanding(reason)) for name, reason, _ in rows if reason != _ANSWERED]
    if len(found) > limit:
        return SetAsides(decisions=found[:limit], before=found[limit - 1][0])
    return SetAsides(decisions=found, before=rows[-1][0] if rows and rows[-1][-1] == look else None)
