"""The page: verdict first, nothing from elsewhere, readable without eyes or mouse, and no markup but its own."""

import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cxi_bandit.domain.errors import InvalidInput
from cxi_bandit.domain.evaluation import Estimate
from simulator.replay import Replay
from simulator.reporting import contents, rendered

PageOf = Callable[[Replay], Any]
EVERY = ("ungated", "imported", "refused", "went")


@pytest.fixture(scope="session", params=EVERY)
def any_replay(request: pytest.FixtureRequest) -> Replay:
    found: Replay = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def document(any_replay: Replay) -> str:
    return rendered(contents(any_replay, "cxi-bandit replay"))


@pytest.fixture(scope="session")
def page(any_replay: Replay, page_of: PageOf) -> Any:
    return page_of(any_replay)


def headings(page: Any) -> list[str]:
    return [element.text for element in page.root.all("h1", "h2", "h3")]


def test_it_asks_for_nothing_and_runs_nothing(page: Any, document: str) -> None:
    for element in page.root.all():
        assert element.tag not in {
            "script",
            "link",
            "img",
            "iframe",
            "object",
            "embed",
            "base",
            "form",
            "use-credentials",
        }
        for name, value in element.attributes.items():
            assert not name.startswith("on")
            if name in {"href", "src", "srcset", "xlink:href", "action", "data"}:
                assert value.startswith("#")
    assert not re.search(r"https?:|url\((?!#)|@import|//", document)
    (policy,) = [e for e in page.root.all("meta") if e.attributes.get("http-equiv") == "Content-Security-Policy"]
    assert policy.attributes["content"].startswith("default-src 'none'")


def test_every_link_and_label_finds_its_place_and_no_id_is_used_twice(page: Any) -> None:
    ids = [element.attributes["id"] for element in page.root.all() if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    for element in page.root.all():
        for name, value in element.attributes.items():
            if name == "href":
                assert value[1:] in ids
            if name in {"aria-labelledby", "aria-describedby"}:
                assert set(value.split()) <= set(ids)
            for used in re.findall(r"url\(#([^)]*)\)", value):
                assert used in ids


def test_headings_are_in_order(page: Any) -> None:
    levels = [int(element.tag[1]) for element in page.root.all("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_every_picture_has_a_title_a_description_and_a_caption(page: Any) -> None:
    pictures = page.root.all("svg")
    assert len(pictures) == len(page.root.all("figcaption")) >= 2
    for picture in pictures:
        assert picture.attributes["role"] == "img"
        title, description = picture.children[:2]
        assert (title.tag, description.tag) == ("title", "desc")
        assert title.text
        assert len(description.text) > 20
        assert picture.attributes["aria-labelledby"].split() == [title.attributes["id"], description.attributes["id"]]


def test_a_keyboard_reaches_what_scrolls_and_a_screen_reader_knows_what_a_cell_is(page: Any) -> None:
    for table in page.root.all("table"):
        assert table.children[0].tag == "caption"
        assert all(cell.attributes["scope"] in {"col", "row"} for cell in table.all("th"))
        assert len({len(row.children) for row in table.all("tr")}) == 1
    for region in page.root.all("div"):
        if region.attributes.get("class") in {"scroll", "picture"}:
            assert region.attributes["tabindex"] == "0"
            assert {"aria-label", "aria-labelledby"} & set(region.attributes)
    assert page.root.all("html")[0].attributes["lang"] == "en"
    assert page.root.all("a")[0].attributes["href"] == "#verdict"


def test_day_and_night_are_the_style_sheets_business(page: Any, document: str) -> None:
    assert "prefers-color-scheme: dark" in document
    for picture in page.root.all("svg"):
        for element in picture.all():
            assert "#0102" not in element.attributes.get("style", "")
    assert "var(--ink)" in document


def test_the_verdict_comes_before_any_number(page: Any) -> None:
    main = page.root.all("main")[0]
    first = main.children[0]
    assert first.attributes["id"] == "verdict"
    assert headings(page)[1].startswith("Verdict: ")
    numbers = [e.position for e in main.all("svg", "table", "dd")]
    assert all(position > first.position for position in numbers)


def test_refused_there_is_no_estimate_anywhere(refused: Replay, page_of: PageOf) -> None:
    page = page_of(refused)
    assert "Verdict: Refused" in headings(page)
    assert not {"Headline", "Estimates", "Segments", "Twice the attribution window"} & set(headings(page))
    assert "What would help:" in page.root.all("section")[0].text
    for estimate in refused.report.estimates.values():
        for shown in figures(estimate):
            assert shown not in page.text
    assert "0.0101" not in page.text
    assert "the evidence is not shown" in page.text
    assert not [e for e in page.root.all("svg") if e.attributes["aria-labelledby"].startswith("picture-evidence")]


def figures(estimate: Estimate) -> list[str]:
    values = [value for value in (estimate.value, *(estimate.interval or ())) if value]
    return [f"{value:.{digits}g}" for value in values for digits in (4, 6)]


def test_a_go_shows_everything(went: Replay, page_of: PageOf) -> None:
    page = page_of(went)
    assert headings(page)[1:] == [
        "Verdict: Go",
        "Headline",
        "Estimates",
        "What each interval assumes",
        "Segments",
        "Twice the attribution window",
        "The gate's trial",
        "Declared and heard",
        "Can this log answer the question?",
        "Weights and effective sample size",
        "Propensities against draws",
        "Completeness of rewards",
        "How these numbers came about",
        "Provenance",
    ]
    for name, estimate in went.report.estimates.items():
        assert name in page.text
        assert f"{estimate.value:#.4g}" in page.text
        assert estimate.assumptions in page.text
    for words in ("context.device = mobile", "+0.0101", "refund", "threshold 132", "9f" * 32, "ab" * 32, "dr moves by"):
        assert words in page.text
    provenance = page.root.all("section")[-1].text
    for words in (
        "cxi-bandit replay --log detail-page",
        "4000,4012",
        "Seed",
        "2026-10-05",
        went.report.provenance.code_version,
    ):
        assert words in provenance


def test_what_was_not_asked_is_not_shown(imported: Replay, page_of: PageOf) -> None:
    page = page_of(imported)
    assert "Verdict: Evaluated; no gate asked" in headings(page)
    assert not {"Segments", "The gate's trial", "Twice the attribution window"} & set(headings(page))
    assert "Log read as of" not in page.text
    assert "one reward per decision, taken as it is" in page.text
    assert "sum of 1/p" in page.text


def test_names_from_files_are_text_whatever_they_hold(replayed: Callable[..., Replay], page_of: PageOf) -> None:
    actions = (
        "<b>$x^{$",
        "日本語",
        "a" * 90,
        '"onload="x',
        "</title></svg><script>alert(1)</script>",
        "\x1b[31mred\x00",
        "\u202ereversed",
    )
    found = replayed("<script>alert(1)</script>", actions, "table:<img src=x onerror=alert(1)>{{ 7*7 }}.json")
    found = replace(found, notes=("</p><script>note</script>",))
    document = rendered(contents(found, "cxi-bandit replay --log '<script>'"))
    assert "<script" not in document
    assert "<img" not in document
    page = page_of(found)
    assert headings(page)[0] == "table:<img src=x onerror=alert(1)>{{ 7*7 }}.json on <script>alert(1)</script>"
    table = next(t for t in page.root.all("table") if t.children[0].text == "Draws by action")
    named = [row.children[0].text for row in table.all("tr")[1:]]
    assert named[:5] == list(actions[:5])
    assert named[5:] == [
        "\N{REPLACEMENT CHARACTER}[31mred\N{REPLACEMENT CHARACTER}",
        "\N{REPLACEMENT CHARACTER}reversed",
    ]
    assert len(page.root.all("svg")) == len(re.findall("<svg", document))
    assert page.root.all("title")[0].text.endswith("on <script>alert(1)</script>")


def test_the_same_replay_gives_the_same_bytes(went: Replay) -> None:
    assert rendered(contents(went, "c")) == rendered(contents(went, "c"))


def test_a_page_needs_its_measures(ungated: Replay) -> None:
    with pytest.raises(InvalidInput, match="measured"):
        contents(replace(ungated, measures=None), "c")
