"""Templates of HTML pages in packages. All text of the data is escaped."""

from __future__ import annotations

from functools import cache
from importlib import resources

from jinja2 import Environment, StrictUndefined, Template

PAGE = "page.html.jinja"


@cache
def page_template(package: str) -> Template:
    """The template of a package's page.

    Args:
        package: the package whose folder has the file ``PAGE``.
    """
    text = resources.files(package).joinpath(PAGE).read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(text)
