"""Looking for decisions in the console: by id, shopper, time, surface, policy and intervention."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from cxi_bandit.bootstrap import Engine
from cxi_bandit.engine.decide import pseudonym
from tests.harness.browser import Browser, Page
from tests.unit.service.test_decisions import ask

Client = TestClient[Litestar]
SEARCH = "/console/decisions"
HOSTILE = "<script>alert(1)</script>\"'><b>"


@pytest.fixture
def decide(client: Client) -> Callable[..., str]:
    def decided(**changes: Any) -> str:
        return str(client.post("/v1/decisions", json=ask(**changes)).json()["decision_id"])

    return decided


@pytest.fixture
def reader(decide: Callable[..., str], signed_in: Callable[..., Browser]) -> Browser:
    return signed_in()


def found(page: Page) -> list[str]:
    """The decisions that a page lists, as it lists them."""
    assert (page.status, page.faults) == (200, [])
    links = [link.attributes["href"] or "" for link in page.root.all("a")]
    return [link.rpartition("/")[2] for link in links if link.startswith(f"{SEARCH}/")]


def searched(reader: Browser, **fields: str) -> Page:
    return reader.send(reader.open(SEARCH), SEARCH, **fields)


def test_before_the_first_decision_it_says_so(reader: Browser) -> None:
    page = reader.open(SEARCH)
    assert (page.status, page.title, page.faults) == (200, "Decisions · cxi-bandit", [])
    assert "No decision fits" in page.text


def test_a_shopper_is_found_and_nobody_else_and_the_key_stays_in_the_request(
    reader: Browser, decide: Callable[..., str], engine: Engine
) -> None:
    mine = [decide(subject="shopper-77") for _ in range(2)]
    decide(subject="shopper-78")
    decide(subject=None)
    page = searched(reader, shopper="shopper-77")
    assert found(page) == mine[::-1]
    named = pseudonym(engine.subject_key, "shopper-77").hex()
    assert parse_qs(page.response.url.query.decode()) == {"pseudonym": [named]}
    assert "shopper-77" not in page.response.text.replace(named, "")
    assert "shopper-77" not in "".join(str(answer.headers) for answer in [page.response, *page.response.history])
    assert found(reader.open(f"{SEARCH}?pseudonym={named}")) == mine[::-1]
    assert found(searched(reader, shopper="nobody")) == []
    (link,) = {link.attributes["href"] for link in page.root.all("a") if "?pseudonym" in str(link.attributes["href"])}
    assert found(reader.open(str(link))) == mine[::-1]


def test_a_shopper_stays_chosen_until_the_tick_is_taken_away(reader: Browser, decide: Callable[..., str]) -> None:
    mine, other = decide(subject="shopper-77"), decide(subject="shopper-78")
    page = searched(reader, shopper="shopper-77")
    assert found(reader.send(page, SEARCH, surface="detail_page")) == [mine]
    assert found(reader.send(page, SEARCH, shopper="shopper-78")) == [other], "another name takes its place"
    assert found(reader.send(page, SEARCH, pseudonym="")) == [other, mine]


def test_an_id_opens_its_receipt(reader: Browser, decide: Callable[..., str]) -> None:
    name = decide()
    page = searched(reader, id=f" {name} ", policy="cart")
    assert (page.status, page.response.url.path) == (200, f"{SEARCH}/{name}")
    wrong = searched(reader, id="0192")
    assert (wrong.status, wrong.faults) == (422, [])
    assert "Decision : is no decision id" in wrong.text
    gone = searched(reader, id=name[:-1] + ("0" if name[-1] != "0" else "1"))
    assert (gone.status, "no decision" in gone.text) == (404, True)


def test_conditions_narrow_it_down(reader: Browser, decide: Callable[..., str], client: Client) -> None:
    names = [decide(), decide()]
    held = client.get(f"/v1/decisions/{names[0]}").json()["decision"]
    assert found(searched(reader, policy="detail-page", surface="detail_page")) == names[::-1]
    assert names[0] in found(searched(reader, intervention=held["intervention"]))
    at = held["decided_at"]
    assert found(searched(reader, since=at, until="2999-01-01T00:00")) == names[::-1]
    assert found(searched(reader, until=at)) == []
    kept = searched(reader, since="2020-01-01T00:00", surface="detail_page")
    assert [field.attributes["value"] for field in kept.root.all("input", name="since")] == ["2020-01-01T00:00"]
    (chosen,) = kept.root.all("select", name="surface")
    assert [option.text for option in chosen.all("option") if "selected" in option.attributes] == ["detail page"]


def test_older_ones_are_a_page_further(
    reader: Browser, decide: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [decide(subject="shopper-77") for _ in range(5)]
    monkeypatch.setattr("cxi_bandit.engine.search.LOOK", 2)
    read: list[str] = []
    page = searched(reader, shopper="shopper-77")
    for _ in range(4):
        read += found(page)
        further = [link.attributes["href"] for link in page.root.all("a") if link.text == "Older"]
        if not further:
            break
        page = reader.open(str(further[0]))
    assert read == names[::-1]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("since=yesterday", "From : is no time"),
        ("until=2026-11-20T08:00&since=2026-11-20T08:00", "To : must be later than since"),
        ("policy=nobody", "Policy : no policy 'nobody'; there are detail-page"),
        ("pseudonym=xyz", "Pseudonym : is no pseudonym"),
        ("pseudonym=abcd", "Pseudonym : expected `bytes` of length >= 32"),
        ("before=1", "Page : "),
        ("surface=a%00b", "Surface : must not contain the character U+0000"),
        ("intervention=" + "x" * 129, "Intervention : expected `str` of length <= 128"),
    ],
)
def test_a_field_that_cannot_be_is_named(reader: Browser, query: str, told: str) -> None:
    page = reader.open(f"{SEARCH}?{query}")
    assert (page.status, page.faults) == (422, [])
    (alert,) = page.root.all("p", role="alert")
    assert told in alert.text
    long = searched(reader, shopper="x" * 257)
    assert (long.status, "at most 256 characters" in long.text, "xxx" in long.response.text) == (422, True, False)


@pytest.mark.parametrize("field", ["id", "pseudonym", "since", "until", "before"])
def test_a_shoppers_key_in_the_wrong_field_stands_in_no_address(reader: Browser, field: str) -> None:
    """Addresses are kept: by browsers, and in the logs of what stands between."""
    page = searched(reader, **{field: "Shopper 77"})
    assert page.status == 422
    assert "location" not in page.response.headers
    assert page.response.url.query == b""


def test_markup_stays_text(reader: Browser, decide: Callable[..., str]) -> None:
    decide()
    for page in (reader.open(f"{SEARCH}?{field}={HOSTILE}") for field in ("id", "since", "surface", "policy", "until")):
        assert page.faults == []
        assert page.root.all("b") == []
        assert all("alert(1)" not in "".join(map(str, script.children)) for script in page.root.all("script"))


def test_only_readers_may_search(anyone: Client) -> None:
    answer = anyone.get(SEARCH, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/sign-in?next=%2Fconsole%2Fdecisions")
    assert anyone.post(SEARCH, data={"shopper": "shopper-77"}, follow_redirects=False).status_code == 401
