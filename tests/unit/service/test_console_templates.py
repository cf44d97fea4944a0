"""The templates as they are written: nothing that the security policy would refuse, or a reader could not use."""

import json
import math
import re
from datetime import UTC, datetime, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar

import cxi_bandit.service.console.pages
from cxi_bandit.service.console.charts import Chart, Kind, Series, data_block
from cxi_bandit.service.console.formats import UNKNOWN, duration, known, moment, number, share, short, words
from tests.harness.browser import faults, read_html

CONSOLE = Path(cxi_bandit.service.console.pages.__file__).parent
TEMPLATES = sorted((CONSOLE / "templates").rglob("*.html"))
JINJA = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)
SPEAKING = {"href", "src", "action", "formaction", "hx-get", "hx-post", "sse-connect"}


class _Tags(HTMLParser):
    """Every start tag of a template, its own tags left out; a template may end what another began."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(JINJA.sub(" ", text))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_no_template_holds_a_script_or_a_style(path: Path) -> None:
    text = path.read_text("utf-8")
    assert "|safe" not in text.replace(" ", ""), "what is shown is escaped"
    assert "autoescape" not in text
    for tag, attributes in _Tags(text).found:
        assert tag not in ("style", "object", "embed", "iframe", "base"), tag
        assert "style" not in attributes, (tag, attributes)
        for name, value in attributes.items():
            assert not re.match(r"on|hx-on|hx-vals$|hx-vars", name), (tag, name)
            if name in SPEAKING:
                assert not re.match(r"\s*(?:[a-z][a-z0-9+.-]*:|//)", value, re.IGNORECASE), (tag, name, value)
        if tag == "script":
            assert "src" in attributes or attributes.get("type") == "application/json", attributes
        if attributes.get("hx-trigger"):
            assert "[" not in attributes["hx-trigger"], "a filter is evaluated, which the policy forbids"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_every_form_brings_its_token(path: Path) -> None:
    text = path.read_text("utf-8")
    forms = re.findall(r'<form [^>]*method="post".*?</form>', text, re.DOTALL)
    assert len(forms) == len(re.findall(r"<form\b", text)) - len(re.findall(r'<form [^>]*method="get"', text))
    assert all('{% include "parts/csrf.html" %}' in form for form in forms)


def test_the_pages_take_no_evaluated_code_from_htmx() -> None:
    [settings] = re.findall(r"name=\"htmx-config\" content='(.*?)'", (CONSOLE / "templates/layout.html").read_text())
    told = json.loads(settings)
    assert (told["allowEval"], told["includeIndicatorStyles"], told["selfRequestsOnly"]) == (False, False, True)
    assert told["historyCacheSize"] == 0, "pages stay out of the browser's store"


def test_what_is_wrong_with_a_page_is_found() -> None:
    page = read_html(
        '<main><input name="x"><i id="a"></i><i id="a" style=""></i><a href="/"></a><table></table></main>'
    )
    assert len(faults(page)) == 8


class TestFormats:
    def test_numbers_have_the_digits_that_tell_something(self) -> None:
        assert [number(value) for value in (0, 7, 12345, -3, 0.123456, 12.3456, 1234.56, 12345678.9, -0.5, 2000.0)] == [
            "0",
            "7",
            "12,345",
            "\N{MINUS SIGN}3",
            "0.1235",
            "12.35",
            "1,235",
            "12,345,679",
            "\N{MINUS SIGN}0.5",
            "2,000",
        ]
        assert [number(value) for value in (None, math.nan, math.inf)] == [UNKNOWN] * 3

    def test_shares_are_per_cent(self) -> None:
        assert [share(value) for value in (0.0, 0.05, 0.12345, 1.0, -0.031, None)] == [
            "0 %",
            "5 %",
            "12.3 %",
            "100 %",
            "\N{MINUS SIGN}3.1 %",
            UNKNOWN,
        ]

    def test_times_are_in_utc(self) -> None:
        at = datetime(2026, 11, 20, 13, 30, 5, 999, tzinfo=timezone(timedelta(hours=2)))
        assert moment(at) == '<time datetime="2026-11-20T11:30:05+00:00">2026-11-20 11:30:05 UTC</time>'
        assert moment(None) == UNKNOWN

    def test_lengths_of_time_have_a_persons_unit(self) -> None:
        assert [duration(value) for value in (0.25, 59, 90, 5400, 129_600, None, math.nan)] == [
            "0.25 s",
            "59 s",
            "1.5 min",
            "1.5 h",
            "1.5 d",
            UNKNOWN,
            UNKNOWN,
        ]

    def test_names_and_digests(self) -> None:
        assert words("free_shipping") == "free shipping"
        assert short("ab" * 32) == f'<code title="{"ab" * 32}">abababababab</code>'
        assert short(b"\xab" * 32) == short("ab" * 32)
        assert short('"><script>') == '<code title="&#34;&gt;&lt;script&gt;">&#34;&gt;&lt;script&gt;</code>'
        assert (known(None), known(""), known(0), known("<b>")) == (UNKNOWN, UNKNOWN, "0", "&lt;b&gt;")


class TestCharts:
    @given(
        label=st.text(st.characters(codec="utf-8"), max_size=30),
        values=st.lists(st.none() | st.floats(), min_size=1, max_size=5),
    )
    def test_the_numbers_stand_in_a_script_that_they_cannot_end(self, label: str, values: list[float | None]) -> None:
        chart = Chart(id="c", title="t", kind=Kind.LINE, over="x", x=range(len(values)), series=[Series(label, values)])
        block = data_block(chart)
        assert not set(block) & set("<>&'")
        told = json.loads(block, parse_constant=pytest.fail)
        [series] = told["series"]
        assert series["label"] == label
        assert series["values"] == [None if value is None or not math.isfinite(value) else value for value in values]

    def test_times_are_seconds_and_names_stay_names(self) -> None:
        at = datetime(2026, 11, 20, tzinfo=UTC)
        timed = Chart(id="c", title="t", kind=Kind.LINE, over="Day", x=[at], series=[Series("a", [1.0])])
        assert json.loads(data_block(timed))["x"] == [at.timestamp()]
        named = Chart(id="c", title="t", kind=Kind.BARS, over="Arm", x=["live"], series=[Series("a", [None])])
        assert json.loads(data_block(named))["x"] == ["live"]
        assert (timed.timed, named.timed, timed.empty, named.empty) == (True, False, False, True)

    def test_a_chart_has_its_table(self, app: Litestar) -> None:
        chart = Chart(
            id="gain",
            title="Gain of <b>acting</b>",
            kind=Kind.BAND,
            over="Version",
            x=["1", "2"],
            series=[Series("dr", [0.1, None], [0.05, None], [0.2, None])],
            unit="reward",
            shares=True,
        )
        engine = app.template_engine
        assert engine is not None
        source = '{% from "parts/charts.html" import figure %}{{ figure(chart) }}'
        root = read_html(engine.render_string(source, {"chart": chart}))
        [table] = root.all("table")
        assert table.text == f"Version dr (reward) 1 10 % [5 %, 20 %] 2 {UNKNOWN} [{UNKNOWN}, {UNKNOWN}]"
        [figure] = root.all("figure")
        assert figure.attributes["data-source"] == root.all("script")[0].attributes["id"]
        assert figure.all("figcaption")[0].text == "Gain of <b>acting</b>"
        nothing = Chart(id="none", title="Gain", kind=Kind.LINE, over="Day", x=[], series=[])
        assert read_html(engine.render_string(source, {"chart": nothing})).text == "Gain: nothing yet."
