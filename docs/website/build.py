"""The site's pages, gathered in a folder and built by Sphinx with MyST-NB."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from nbformat import NotebookNode
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

from autograder.notebooks import read_notebook, to_text

from .links import adapted
from .notebook import page

ROOT = Path(__file__).resolve().parents[2]
READING_ORDER = ("phase1_overview", "phase2_techniques", "phase3_production", "challenges")
PARTS = {
    "Pruning": ("MODEL_PRUNING_GUIDE", "your-own-model", "deploy", "interoperability", "benchmarks", "model_sweep"),
    "Teaching": ("instructor", "grading-machines", "grading", "grading-security", "attacks"),
}
OTHERS = ("CONTRIBUTING.md", "CHANGELOG.md", "gpt2_lib/weights/gpt2-mini/README.md")
SETTINGS = {
    "project": "Real-World GPT-2 Pruning",
    "html_title": "Real-World GPT-2 Pruning",
    "extensions": ["myst_nb", "docs.website.mathml"],
    "html_theme": "furo",
    "html_favicon": str(Path(__file__).with_name("favicon.svg")),
    "html_copy_source": False,
    "html_show_sphinx": False,
    "html_math_renderer": "mathml",
    "myst_enable_extensions": ["dollarmath"],
    "myst_heading_anchors": 4,
    "nb_execution_mode": "off",
    "nb_merge_streams": True,
    "nb_mime_priority_overrides": [("html", "text/html", 0)],
}


def build(executed: Mapping[str, NotebookNode], out: Path, repository: str | None = None) -> None:
    """Build the site in ``out``, afresh. ``executed``: name -> the executed master.

    ``repository`` is where files are that have no page, GitHub's own in its workflows. Raises RuntimeError for what
    Sphinx warns of: a link that leads nowhere, a picture that is not there.
    """
    if repository is None:
        repository = _on_github()
    with tempfile.TemporaryDirectory() as folder:
        staged = Path(folder) / "pages"
        _stage(staged, executed, repository)
        shutil.rmtree(out, ignore_errors=True)
        with patch_docutils(), docutils_namespace():
            site = Sphinx(staged, None, out, Path(folder) / "trees", "html", SETTINGS, warningiserror=True, status=None)
            site.build()
        # For <img> and <picture> in a page's HTML, which Sphinx does not read.
        shutil.copytree(staged / "docs" / "pictures", out / "docs" / "pictures")
    if site.statuscode:
        raise RuntimeError("Sphinx warned: its lines above say where.")


def _on_github() -> str:
    name, commit = os.environ.get("GITHUB_REPOSITORY"), os.environ.get("GITHUB_SHA")
    return f"{os.environ.get('GITHUB_SERVER_URL')}/{name}/blob/{commit}" if name and commit else ""


def _stage(staged: Path, executed: Mapping[str, NotebookNode], repository: str) -> None:
    """Write the pages' sources, each where it is in the repository, so that links between them hold."""
    pages = [f"docs/{name}.md" for names in PARTS.values() for name in names] + list(OTHERS)
    books = {name: next((ROOT / "notebooks").glob(f"*/{name}.ipynb")) for name in READING_ORDER}
    pictures = sorted((ROOT / "docs" / "pictures").glob("*.png"))
    kept = [path.relative_to(ROOT).as_posix() for path in (*books.values(), *pictures)]
    files = {"README.md", *pages, *kept}
    for picture in pictures:
        target = staged / picture.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, target)
    for name in ("README.md", *pages):
        text = adapted((ROOT / name).read_text(encoding="utf-8"), name, files, repository)
        target = staged / ("index.md" if name == "README.md" else name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text.replace("(../README.md", "(../index.md"), encoding="utf-8")
    with (staged / "index.md").open("a", encoding="utf-8") as index:
        index.write("\n".join(_contents(books)))
    for name, path in books.items():
        notebook = page(read_notebook(path), executed[name])
        where = path.relative_to(ROOT).as_posix()
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = adapted(cell.source, where, files, repository)
        target = staged / where
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(to_text(notebook), encoding="utf-8")


def _contents(books: Mapping[str, Path]) -> Iterator[str]:
    """The site's table of contents, in MyST."""
    parts = {"The course": [path.relative_to(ROOT).with_suffix("").as_posix() for path in books.values()]}
    parts |= {title: [f"docs/{name}" for name in names] for title, names in PARTS.items()}
    parts |= {"The repository": [name.removesuffix(".md") for name in OTHERS]}
    yield "\n"
    for title, pages in parts.items():
        yield from ("```{toctree}", ":hidden:", f":caption: {title}", "", *pages, "```", "")
