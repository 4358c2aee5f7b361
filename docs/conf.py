"""How the pages are built: ``sphinx-build -W --keep-going -b html docs build/docs``, with the extra ``docs``."""

import re
from importlib.metadata import version as version_of

from sphinx.application import Sphinx

project = "isthmus"
author = "The isthmus authors"
copyright = author
release = version = version_of("isthmus")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_templates"]
templates_path = ["_templates"]
html_theme = "furo"
html_title = "isthmus"
html_static_path = ["_static"]
html_css_files = ["isthmus.css"]
html_show_sphinx = False

# Pages link to headings of each other as they do on GitHub.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "deflist"]
# The diagram of the README and the examples of documents are plain text.
highlight_language = "text"

autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
autodoc_default_options = {"members": True}
# Axes and element types stand in the signature (jaxtyping), what they mean in the text.
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = [("Sizes", "params_style")]
suppress_warnings = ["ref.python"]


def setup(app: Sphinx) -> None:
    """Docstrings are read as they are written: bars and stars are no markup outside of literals."""
    app.connect("autodoc-process-docstring", _escape)


def _escape(app: object, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """A bar would start a substitution; a star before the name of an axis (``*cells``), emphasis."""
    for place, line in enumerate(lines):
        parts = re.split(r"(``.*?``)", line)
        parts[::2] = [re.sub(r"(?<!\\)\||\*(?=cells)", r"\\\g<0>", part) for part in parts[::2]]
        lines[place] = "".join(parts)
