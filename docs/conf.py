"""The documentation site, for Sphinx: `make docs` builds it."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.domains.python import PyXRefRole
from sphinx.environment import BuildEnvironment
from sphinx.errors import PycodeError
from sphinx.ext import autosummary
from sphinx.pycode import ModuleAnalyzer
from sphinx.transforms import SphinxTransform
from sphinx.util.inspect import signature, stringify_signature

REPOSITORY = ""
"""Address of the public repository's files, such as "https://example.org/blurnet-tf/blob/main". Links out of docs/ lead
there. While it is empty they lead to a copy of the file, and a link to a folder is plain text."""

HIDDEN = "\ufdd0"  # never a character of a text
ROOT = Path(__file__).resolve().parent.parent


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Keep TensorFlow from telling of CUDA and oneDNN when it is imported. It offers no switch for it."""
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


with hushed():
    import keras

    import blurnet_tf.attacks
    import blurnet_tf.evaluation
    import blurnet_tf.evaluation.suites
    import blurnet_tf.export
    import blurnet_tf.reporting
    import blurnet_tf.runs

project = "blurnet-tf"
version = release = blurnet_tf.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon", "sphinx_copybutton"]

# Pages are read on the site and as plain files: `flags.md#nan` is a heading in both.
myst_heading_anchors = 3

default_role = "name"  # see `Name`
autosummary_generate = False
autosummary.WELL_KNOWN_ABBREVIATIONS += ("Eq.",)  # no end of a sentence
autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
autodoc_preserve_defaults = True
# Docstrings say more than types: shapes, ranges and units.
autodoc_typehints = "none"
python_maximum_signature_line_length = 80
# `steps, learning_rate: ...` is one line of a list, and no attribute of that name.
napoleon_custom_sections = [("Attributes", "params_style")]

# Dashes alone: "box" is a string of Python's, with the quotation marks of Python.
smartquotes_action = "D"
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = f"{project} {version}"
html_show_copyright = False
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {"top_of_page_buttons": []}
# Examples are copied without what Python printed.
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True


class Name(PyXRefRole):
    """What stands in single backticks in a docstring: a link if it is the name of a public thing, else code."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        if not re.fullmatch(r"[A-Za-z_][\w.]*", self.text):  # `.keras` is no name
            return [nodes.literal(self.rawtext, self.text)], []
        self.name = "py:obj"
        return super().run()


class LinksOutOfDocs(SphinxTransform):
    """Make links that leave docs/ lead to the repository, or to a copy of the file while there is no address for it."""

    default_priority = 5  # before links to copies are collected and all others looked up among the pages

    def apply(self, **kwargs: Any) -> None:
        folder = Path(self.env.doc2path(self.env.docname)).parent
        for node in [one for one in self.document.findall(nodes.Element) if one.get("reftype") == "myst"]:
            target = node["reftarget"].partition("#")[0]
            path = (folder / (f"{target}.md" if node.get("refdomain") == "doc" else target)).resolve()
            if path.is_relative_to(ROOT / "docs") or not (path.is_relative_to(ROOT) and path.exists()):
                continue
            place = path.relative_to(ROOT).as_posix()
            link = nodes.inline("", "", *node.children[0].children)
            if REPOSITORY:
                link = nodes.reference("", "", link, refuri=f"{REPOSITORY}/{place}")
            elif path.is_file():
                link = addnodes.download_reference("", "", link, reftarget=f"/../{place}", refdoc=self.env.docname)
            node.replace_self(link)


def describe_constant(app: Sphinx, what: str, name: str, constant: Any, options: Any, lines: list[str]) -> None:
    """Describe a constant by the string below it. Autodoc looks only where it is imported, and then at its type."""
    if what not in {"data", "type"} or lines[:1] != (constant.__doc__ or "").strip().splitlines()[:1]:
        return
    lines.clear()
    short = name.rpartition(".")[2]
    for module in [one for one in sys.modules if one.startswith("blurnet_tf.")]:
        if vars(sys.modules[module]).get(short) is constant:
            with contextlib.suppress(PycodeError):
                found = ModuleAnalyzer.for_module(module).find_attr_docs().get(("", short))
                lines.extend(found or [])


def hide_colon(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Keep the first line of a property or a constant whole: Napoleon takes it for a type, up to a colon."""
    if what in {"attribute", "data", "property"}:
        lines[:1] = [line.replace(":", HIDDEN) for line in lines[:1]]


def show_colon(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Show what `hide_colon` hid."""
    lines[:] = [line.replace(HIDDEN, ":") for line in lines]


def choose_member(app: Sphinx, what: str, name: str, thing: Any, skip: bool, options: Any) -> bool | None:
    """Describe a call that has something to say. Skip fields of named tuples: they say "Alias for field number 0"."""
    said = getattr(thing, "__doc__", None) or ""
    if name == "__call__":
        return not said
    return True if said.startswith("Alias for field number") else None


def name_arguments(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, arguments: str | None, result: str | None
) -> tuple[str, str] | None:
    """Name the arguments of a Keras layer, which hides them behind those of `Layer.__new__`."""
    if what != "class" or not issubclass(thing, keras.layers.Layer):
        return None
    return stringify_signature(signature(thing.__init__, bound_method=True), show_annotation=False), ""


def know_by_short_names(app: Sphinx, env: BuildEnvironment) -> None:
    """Let `blurnet_tf.RP2` be found where `blurnet_tf.attacks.RP2` is described: each thing is described once."""
    entries = env.domains.python_domain.objects
    for module in (blurnet_tf, blurnet_tf.evaluation):
        for short in module.__all__:
            name = f"{module.__name__}.{short}"
            for other in [one for one in entries if one.endswith(f".{short}") and name not in entries]:
                home = sys.modules.get(other.rpartition(".")[0])
                if vars(home).get(short) is getattr(module, short) if home else False:
                    entries[name] = entries[other]._replace(aliased=True)


def setup(app: Sphinx) -> None:
    app.add_role("name", Name())
    app.add_transform(LinksOutOfDocs)
    app.connect("autodoc-process-docstring", hide_colon, priority=400)  # Napoleon's is 500
    app.connect("autodoc-process-docstring", show_colon, priority=600)
    app.connect("autodoc-process-docstring", describe_constant, priority=700)
    app.connect("autodoc-skip-member", choose_member)
    app.connect("autodoc-process-signature", name_arguments)
    app.connect("env-updated", know_by_short_names)
