"""The template engine of the report and the model card."""

from __future__ import annotations

from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined

from iouaware.reporting import numerals

FILTERS = ("percent", "points", "ratio", "whole_percent", "counted", "last_part")


def build_environment(autoescape: bool = True) -> Environment:
    """Return the engine: a missing name is an error, and text in a page is escaped.

    Args:
        autoescape: off for Markdown alone, where the writer escapes its own way.
    """
    environment = Environment(
        loader=PackageLoader("iouaware.reporting", "templates"),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update({name: getattr(numerals, name) for name in FILTERS})
    environment.filters["alpha"] = numerals.alpha_text
    return environment


def read_template(name: str) -> str:
    """Return a file of the template folder as it is."""
    return resources.files("iouaware.reporting").joinpath("templates", name).read_text("utf-8")
