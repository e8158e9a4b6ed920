"""Executed notebooks bound as a book: a static site with contents and search that needs no network."""

from __future__ import annotations

import importlib.metadata
import io
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..ground import ColdstartError, package_file
from .pages import FOLDED, NAVIGATION, held_of_all, hero, read_notebook, read_record
from .record import RECORD_MIME

# Sphinx and nbformat take a second or more to import, which `coldstart --help` should not.
if TYPE_CHECKING:
    from nbformat import NotebookNode

TITLE = "Cold start"
INDEX = """# Recommend what nobody has rated yet

How do you find the audience of a film that opens today, or films for someone who signed up a minute ago? These chapters
transfer knowledge from pretrained language models, from catalogues and from graphs to search and recommendation. Each
page is a notebook as it was executed; code that only draws or tells is folded, and opens at a click.

::::{{grid}} 1 2 2 2
:gutter: 3

{cards}
::::

```{{toctree}}
:hidden:
:glob:

notebooks/*
{more}
```
"""
CARD = """:::{{grid-item-card}} {title}
:link: notebooks/{name}
:link-type: doc
{picture}
{question}

<span class="told">{told}</span>
:::
"""
MATHJAX = "sphinx-mathjax-offline/static/mathjax/tex-svg-full.js"
OPTIONS: dict[str, Any] = {
    "project": TITLE,
    "html_title": TITLE,
    "extensions": ["myst_nb", "sphinx_design", "sphinx.ext.mathjax"],
    "nb_execution_mode": "off",
    "nb_merge_streams": True,
    "nb_code_prompt_show": "The code of this output",
    "nb_code_prompt_hide": "Close",
    "myst_enable_extensions": ["colon_fence", "dollarmath", "html_image"],
    "myst_dmath_double_inline": True,
    "myst_heading_anchors": 4,
    "myst_heading_slug_func": "coldstart_utils.book.site.anchor",
    "mathjax_path": Path(MATHJAX).name,
    "html_theme": "furo",
    "html_css_files": ["book.css"],
    "html_copy_source": False,
    "html_show_sphinx": False,
    "html_show_copyright": False,
    "pygments_style": "friendly",
}


def anchor(heading: str) -> str:
    """Return the anchor of a heading as JupyterLab makes it, so that one link works in both."""
    return heading.replace(" ", "-")


def bind(root: Path, build: Path) -> Path:
    """Make `build/book/` of the notebooks in `build/notebooks/`, and return its first page.

    `root` is the project, whose figures are shown where `build/figures/` has none of the same name. What Sphinx finds
    amiss goes to `build/book.log`. Raises ColdstartError if no notebook was executed, or the book cannot be made.
    """
    chapters = {path: read_notebook(path) for path in sorted((build / "notebooks").glob("*.ipynb"))}
    if not chapters:
        raise ColdstartError(f"{build / 'notebooks'}: no executed notebook; `coldstart run` makes them")
    source = build / ".book" / "source"
    shutil.rmtree(source, ignore_errors=True)
    (source / "notebooks").mkdir(parents=True)
    for figures in (root / "figures", build / "figures"):
        if figures.is_dir():
            shutil.copytree(figures, source / "figures", dirs_exist_ok=True)
    results = root / "RESULTS.md"
    # The claims of other data or of a quick run are not those of this page.
    complete = build == root / "build" and results.is_file()
    more = [name for name in ("RESULTS", "CARD") if complete and (root / f"{name}.md").is_file()]
    for name in more:
        shutil.copy(root / f"{name}.md", source)
    cards = "\n".join(_card(path, *chapter) for path, chapter in chapters.items())
    (source / "index.md").write_text(INDEX.format(cards=cards, more="\n".join(more)), encoding="utf-8")
    for path, (notebook, _, _) in chapters.items():
        _write(for_readers(notebook), source / "notebooks" / path.name)
    _run_sphinx(source, build / "book", build / "book.log")
    return build / "book" / "index.html"


def for_readers(notebook: NotebookNode) -> NotebookNode:
    """Change a notebook for a reader without a kernel, and return it.

    Links to neighbours go, since the book has its own; folded code opens at a click, except where it failed; a live
    view is its still picture, and pictures have a text for those who cannot see them.
    """
    notebook.cells = [cell for cell in notebook.cells if NAVIGATION not in cell.metadata.get("tags", [])]
    for cell in notebook.cells:
        outputs = cell.get("outputs", [])
        failed = any(output.output_type == "error" for output in outputs)
        tags = cell.metadata.get("tags", [])
        if FOLDED in tags and not failed:
            cell.metadata["tags"] = [*tags, "hide-input"]
        for output in outputs:
            output.get("data", {}).pop(RECORD_MIME, None)
        pictures = [output for output in outputs if "image/png" in output.get("data", {})]
        texts = [o.metadata.get("image/png", {}).get("alt") or o.data.get("text/plain", "") for o in pictures]
        if any(texts):
            cell.metadata["mystnb"] = {"image": {"alt": " ".join(filter(None, texts))}}
    return notebook


def _card(path: Path, notebook: NotebookNode, title: str, question: str) -> str:
    picture, record = hero(notebook), read_record(notebook)
    return CARD.format(
        name=path.stem,
        title=title,
        question=question,
        picture=f":img-top: {picture}\n:img-alt: {title}" if picture else "",
        told=f"{held_of_all(record)} claims held" if record else "did not finish",
    )


def _write(notebook: NotebookNode, path: Path) -> None:
    import nbformat

    nbformat.write(notebook, path)


def _run_sphinx(source: Path, target: Path, log: Path) -> None:
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    mathjax = Path(str(importlib.metadata.distribution("sphinx-mathjax-offline").locate_file(MATHJAX)))
    options = OPTIONS | {"html_static_path": [str(package_file("book.css")), str(mathjax)]}
    warnings = io.StringIO()
    # What an earlier book had and this one has not must not stay.
    shutil.rmtree(target, ignore_errors=True)
    with patch_docutils(), docutils_namespace():
        book = Sphinx(
            str(source), None, str(target), str(source.parent / "doctrees"), "html", options,
            status=None, warning=warnings, freshenv=True,
        )  # fmt: skip
        book.build()
    log.write_text(re.sub(r"\x1b\[[0-9;]*m", "", warnings.getvalue()), encoding="utf-8")
    if book.statuscode:
        raise ColdstartError(f"{target}: the book could not be made; what is amiss stands in {log}")
