"""The site's configuration: `make docs` builds it from these pages, offline; a warning is an error."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "cxi-bandit"
author = "the authors of cxi-bandit"
version = release = version_of("cxi-bandit")
language = "en"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click", "from_source", "plain_words"]
exclude_patterns = ["extensions"]

# GitHub's own names for headings, so that a link leads to the same place here and there.
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
# A field's words stand under its class and nowhere else.
napoleon_use_ivar = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = "cxi-bandit"
html_copy_source = False
html_show_sourcelink = False
html_static_path = ["static"]
templates_path = []
