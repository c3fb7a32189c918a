"""The page: sections through a template, in one file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined

from blurnet_tf.reporting.report.blocks import Section, word_parts


def render(title: str, lead: str, sections: Sequence[Section]) -> str:
    """Return the page as HTML. All text is escaped; the same sections give the same bytes.

    Args:
        title: Of the page.
        lead: The sentence below it.
        sections: In their order.
    """
    environment = Environment(
        loader=PackageLoader("blurnet_tf.reporting.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["word_parts"] = word_parts
    return environment.get_template("page.html.j2").render(title=title, lead=lead, sections=sections)
