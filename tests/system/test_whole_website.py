"""Tests of the website: no page has a solution or a hidden test, and each is complete in a real browser."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from classroom import NOTEBOOKS, REPOSITORY
from executed import Executed
from needs import CHROMIUM
from playwright.sync_api import Browser, sync_playwright

from autograder.authoring.sources import to_notebook
from docs.website.build import build

pytestmark = [
    pytest.mark.xdist_group("website"),
    pytest.mark.filterwarnings("ignore:'(myst_parser|myst_nb|furo):"),  # their use of Sphinx, which we can't mend
]

PAGES = 20  # at least: the course's notebooks, the guide and the docs
MARKS = ("BEGIN SOLUTION", "BEGIN HIDDEN", "with hidden(")
SECRET = re.compile(r"### BEGIN (SOLUTION|HIDDEN TESTS)\n(.*?)### END \1", re.DOTALL)
TELLING = 20  # characters from which on a line of code is nobody else's by chance


class Page(HTMLParser):
    """What a page says, where it leads, and what can be led to in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self._text: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.text = "".join(self._text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        self.ids |= {said["id"]} if said.get("id") else set()
        if tag in ("a", "link", "img", "script"):
            self.links += [said[name] for name in ("href", "src") if said.get(name)]

    def handle_data(self, data: str) -> None:
        self._text.append(data)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    executed = Executed(tmp_path_factory)
    out = tmp_path_factory.mktemp("website") / "site"
    build({name: executed.master(name)[0] for name in NOTEBOOKS}, out, repository="")
    return out


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Page]:
    found = {path.relative_to(site).as_posix(): Page(path) for path in sorted(site.rglob("*.html"))}
    assert len(found) >= PAGES
    return found


def secrets() -> set[str]:
    """Return the lines of solutions and hidden tests that occur nowhere in public."""
    texts = [cell.source for path in NOTEBOOKS.values() for cell in to_notebook(path).cells]
    inside = {line.strip() for text in texts for _, block in SECRET.findall(text) for line in block.splitlines()}
    folders = ("notebooks/*/*.ipynb", "docs/*.md", "*.md")
    public = " ".join(path.read_text(encoding="utf-8") for folder in folders for path in REPOSITORY.glob(folder))
    known = squeezed(public.replace('\\"', '"'))
    return {line for line in inside if len(line) >= TELLING and squeezed(line) not in known}


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def test_no_page_holds_a_solution_or_a_hidden_test(site: Path, pages: dict[str, Page]) -> None:
    lines = {line: squeezed(line) for line in secrets()}
    assert len(lines) > 100, "the masters' solutions were not found"
    said = {name: squeezed(page.text) for name, page in pages.items()}
    said |= {path.name: squeezed(path.read_text(encoding="utf-8")) for path in site.rglob("*.js")}
    assert {name: line for name, text in said.items() for line, found in lines.items() if found in text} == {}
    books = {name: page.text for name, page in pages.items() if name.startswith("notebooks/")}
    assert len(books) == len(NOTEBOOKS)
    assert [(name, mark) for name, text in books.items() for mark in MARKS if mark in text] == []


def test_the_site_holds_pages_and_pictures_and_no_source(site: Path) -> None:
    kinds = {path.suffix for path in site.rglob("*") if path.is_file()} - {""}
    assert kinds <= {".html", ".css", ".js", ".png", ".svg", ".inv", ".txt", ".map", ".woff2", ".LICENSE"}


def test_every_link_leads_to_a_page_and_a_place_in_it(pages: dict[str, Page], site: Path) -> None:
    broken = []
    for name, page in pages.items():
        for link in page.links:
            address = urlsplit(urljoin(f"/{name}", link))
            if address.scheme or address.netloc:
                continue
            path, anchor = unquote(address.path).lstrip("/"), unquote(address.fragment)
            there = (site / path).is_file()
            if not there or (anchor and path in pages and anchor not in pages[path].ids):
                broken.append((name, link))
    assert broken == []


def test_every_equation_is_drawn(pages: dict[str, Page], site: Path) -> None:
    drawn = [re.findall(r"<math.*?</math>", (site / name).read_text(encoding="utf-8"), re.DOTALL) for name in pages]
    equations = [one for found in drawn for one in found]
    assert len(equations) > 100
    assert [one for one in equations if "\\" in re.sub("<[^>]*>", "", one)] == []


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, CHROMIUM)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def elsewhere(url: str, address: str) -> bool:
    return not url.startswith((f"{address}/", "data:"))


def test_every_page_is_whole_in_a_browser(pages: dict[str, Page], address: str, browser: Browser) -> None:
    """No error in the console, nothing that can't be loaded, nothing from elsewhere, no picture missing."""
    said: list[str] = []
    pictures = 0
    page = browser.new_page()
    page.set_default_timeout(300_000)
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    aborted = "net::ERR_ABORTED"  # the next page is opened before the icon has come
    page.on("requestfailed", lambda r: said.append(f"failed: {r.url}") if r.failure != aborted else None)
    page.on("request", lambda request: said.append(request.url) if elsewhere(request.url, address) else None)
    wrong = []
    for name in pages:
        said.clear()
        page.goto(f"{address}/{name}", wait_until="load")
        drawn = page.evaluate("[...document.images].map(image => [image.src.slice(0, 80), image.naturalWidth])")
        pictures += len(drawn)
        said += [f"no picture: {source}" for source, width in drawn if not width]
        wrong += [(name, one) for one in said]
    assert wrong == []
    assert pictures > 40
