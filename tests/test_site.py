"""The documentation site: it builds without a warning, describes every public name, and no link in it is broken."""

import importlib
import importlib.util
import pkgutil
import re
import subprocess
import sys
import zlib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import blurnet_tf

DOCS = Path(__file__).resolve().parent.parent / "docs"
NEEDED = ("sphinx", "myst_parser", "furo", "sphinx_copybutton")
# What a browser fetches by itself, by the tag and its attribute. Links that a reader may follow are none of these.
FETCHED = {
    ("script", "src"),
    ("link", "href"),
    ("img", "src"),
    ("iframe", "src"),
    ("source", "src"),
    ("object", "data"),
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in NEEDED),
        reason="Sphinx or a part of it is not installed: pip install -e '.[docs]'",
    ),
]


class Page(HTMLParser):
    """The anchors of a page, what it links to, and what a browser fetches for it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            if name in ("href", "src", "data") and value is not None:
                self.links.append(value)
                if (tag, name) in FETCHED:
                    self.fetched.append(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-E", "-W", "--keep-going", "-d", str(folder / "doctrees")]
    result = subprocess.run([*command, str(DOCS), str(folder / "html")], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in sorted(site.rglob("*.html"))}


@pytest.fixture(scope="module")
def described(site: Path) -> dict[str, str]:
    """Where each Python name is described, as other sites learn it: four lines of text, then compressed ones."""
    packed = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    entries = (line.split(" ", 4) for line in zlib.decompress(packed).decode().splitlines())
    return {name: place.replace("$", name) for name, role, _, place, _ in entries if role.startswith("py:")}


def test_every_page_is_in_the_table_of_contents(pages: dict[Path, Page], site: Path) -> None:
    links = pages[site / "index.html"].links
    written = [path.relative_to(DOCS).with_suffix(".html").as_posix() for path in DOCS.rglob("*.md")]
    assert [path for path in written if path not in links and path != "index.html"] == []


def test_every_public_name_is_described(described: dict[str, str]) -> None:
    rooms = [f"blurnet_tf.{room.name}" for room in pkgutil.iter_modules(blurnet_tf.__path__) if room.ispkg]
    modules = [importlib.import_module(name) for name in ("blurnet_tf", *rooms)]
    public = [f"{module.__name__}.{name}" for module in modules for name in getattr(module, "__all__", ())]
    assert len(public) > 100
    assert [name for name in public if name not in described] == []


def test_what_the_pages_import_is_described(described: dict[str, str]) -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md"))
    imports = re.findall(r"^from (blurnet_tf[\w.]*) import (.+)$", text, re.MULTILINE)
    used = {f"{module}.{name}" for module, names in imports for name in names.split(", ")}
    assert len(used) > 10
    assert sorted(used - set(described)) == []


def test_no_link_within_the_site_is_broken(pages: dict[Path, Page], described: dict[str, str], site: Path) -> None:
    links = [(path, link) for path, page in pages.items() for link in page.links]
    links += [(site / "index.html", place) for place in described.values()]
    broken = []
    for path, link in links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        anchor = unquote(parts.fragment)
        if not target.is_file() or (anchor and target in pages and anchor not in pages[target].anchors):
            broken.append(f"{path.relative_to(site)}: {link}")
    assert len(links) > 1000
    assert broken == []


def test_nothing_is_fetched_from_another_host(pages: dict[Path, Page], site: Path) -> None:
    fetched = [link for page in pages.values() for link in page.fetched]
    for style in site.rglob("*.css"):
        fetched += re.findall(r"url\(\s*[\"']?([^\"')]+)|@import\s+[\"']([^\"']+)", style.read_text(encoding="utf-8"))
    fetched = [link if isinstance(link, str) else "".join(link) for link in fetched]
    assert fetched
    assert [link for link in fetched if link.startswith(("http:", "https:", "//"))] == []
