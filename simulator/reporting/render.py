"""Page to HTML: one template, one style sheet, every text escaped."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from simulator.reporting.page import Page

_TEMPLATE = "page.html.j2"


def rendered(page: Page) -> str:
    """One HTML document that asks for nothing: no script, no font, no picture from elsewhere."""
    environment = Environment(
        loader=PackageLoader("simulator.reporting", "templates"),
        autoescape=True,  # whatever a template is called
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(_TEMPLATE).render(page=page)
