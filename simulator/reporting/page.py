"""What stands on the page, as values in its own words: the template only lays them out."""

from dataclasses import dataclass

from simulator.reporting.drawing import Picture


@dataclass(frozen=True)
class ReasonText:
    """Why the verdict is what it is, and what would help; `help` is empty where nothing is needed."""

    code: str
    finding: str
    help: str


@dataclass(frozen=True, kw_only=True)
class Banner:
    """The verdict.

    Args:
        tone: `go`, `wait` or `refuse`, for its colour and sign.
        word: The verdict itself.
        meaning: In a sentence.
    """

    tone: str
    word: str
    meaning: str
    reasons: tuple[ReasonText, ...]


@dataclass(frozen=True, kw_only=True)
class Headline:
    """The number to read first, never without its interval and what that stands on."""

    value: str
    interval: str
    estimator: str
    confidence: str
    method: str
    logged: str
    logged_interval: str
    comparison: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table; the first cell of a row names it.

    Args:
        caption: What is in it.
        numeric: Which columns are numbers.
        strong: Names of rows that stand out.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[int, ...] = ()
    strong: tuple[str, ...] = ()


@dataclass(frozen=True)
class Term:
    """A term and what is said of it; `code` where it is to be copied as it stands."""

    name: str
    text: str
    code: bool = False


@dataclass(frozen=True, kw_only=True)
class Section:
    """One part of the page.

    Args:
        key: Its anchor.
        lead: How to read it; one paragraph an entry.
        findings: What a check said about it, where one did.
        folded: Whether the tables stay folded behind the picture that shows the same.
        terms: A list of definitions under everything else.
    """

    key: str
    title: str
    lead: tuple[str, ...]
    findings: tuple["CheckText", ...] = ()
    pictures: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()
    folded: bool = False
    terms: tuple[Term, ...] = ()
    terms_title: str = ""
    items: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckText:
    """A check's level in words, its tone for the colour, and what it found."""

    name: str
    tone: str
    level: str
    finding: str
    help: str


@dataclass(frozen=True, kw_only=True)
class Page:
    """The whole page.

    Args:
        headline: None where the evaluation is refused, and then no section holds an estimate either.
        lede: What was asked, in a sentence.
    """

    log: str
    candidate: str
    lede: str
    banner: Banner
    headline: Headline | None
    sections: tuple[Section, ...]
