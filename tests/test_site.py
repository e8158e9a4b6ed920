"""site: executed notebooks as a book; what a browser makes of it is tested in tests/browser/test_book.py."""

import base64
import re
from html import unescape

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from coldstart_utils.book import pages, site
from coldstart_utils.book.record import RECORD_MIME
from coldstart_utils.ground import ColdstartError

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
STILL = {"image/png": base64.b64encode(PNG).decode(), "text/plain": "a still"}
RECORD = {"claims": [["one", True], ["two", False]], "findings": [], "headline": "h"}
PROSE = """# 00 · First
Why is it so?

![a hero](../figures/hero.png) Let $x_i$ be `$5` and \\$3, so that $$\\sum_i x_i^2$$ is small; see [next](01_b.ipynb)
and [below](#The-end-of-it)."""
ANSWERS = """## The end of it
<details><summary>Answers</summary>

```python
x = 1 < 2

y = 3
```
</details>

<details><summary>Symbols</summary>

| a | b |
|---|---|
| $x$ | 1 |

</details>

End."""


def first_chapter():
    outputs = [new_output("display_data", STILL), new_output("display_data", {RECORD_MIME: RECORD, "text/plain": "1"})]
    told = [new_output("display_data", {"text/markdown": "so it is"})]
    return new_notebook(
        metadata=pages.METADATA,
        cells=[
            new_markdown_cell("[Contents](../README.md)", metadata={"tags": ["navigation"]}),
            new_markdown_cell(PROSE),
            new_code_cell("shown = 1", outputs=outputs),
            new_code_cell("secret = 1", outputs=told, metadata={"tags": ["folded"]}),
            new_markdown_cell(ANSWERS),
        ],
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project of two chapters of which a full run left notebooks, bound as a book."""
    root = tmp_path_factory.mktemp("project")
    for folder in (root / "figures", root / "build" / "figures", root / "build" / "notebooks"):
        folder.mkdir(parents=True)
    (root / "figures" / "hero.png").write_bytes(b"drawn by an earlier run")
    (root / "build" / "figures" / "hero.png").write_bytes(base64.b64decode(PNG))
    (root / "RESULTS.md").write_text("# What the chapters found\n\n[00](notebooks/00_a.ipynb)\n")
    failed = new_output("error", ename="E", evalue="v", traceback=["E: v"])
    second = [
        new_markdown_cell("# 01 · Second\nAnd then?"),
        new_code_cell("broken", outputs=[failed], metadata={"tags": ["folded"]}),
    ]
    nbformat.write(first_chapter(), root / "build" / "notebooks" / "00_a.ipynb")
    nbformat.write(new_notebook(cells=second, metadata=pages.METADATA), root / "build" / "notebooks" / "01_b.ipynb")
    assert site.bind(root, root / "build") == root / "build" / "book" / "index.html"
    return root


def read(project, name):
    return (project / "build" / "book" / f"{name}.html").read_text(encoding="utf-8")


def test_nothing_was_amiss(project):
    assert (project / "build" / "book.log").read_text() == ""


@pytest.mark.parametrize("name", ["index", "search", "RESULTS", "notebooks/00_a", "notebooks/01_b"])
def test_a_page_loads_nothing_from_afar(project, name):
    page = read(project, name)
    assert re.findall(r"""<(?:script|img|iframe)[^>]*src=["'](?:https?:)?//""", page) == []
    assert re.findall(r"""<link[^>]*href=["'](?:https?:)?//""", page) == []
    styles = (project / "build" / "book" / "_static").rglob("*.css")
    assert [s.name for s in styles if re.search(r"url\(.?(https?:)?//", s.read_text(encoding="utf-8"))] == []


def test_the_first_page_is_a_gallery(project):
    page = read(project, "index")
    assert "00 · First" in page and "Why is it so?" in page
    assert "1/2 claims held" in page and "did not finish" in page
    assert 'href="notebooks/00_a.html"' in page and 'href="RESULTS.html"' in page
    assert re.search(r'<img[^>]*src="_images/hero\d*\.png"', page)


def test_a_figure_of_this_run_is_shown_rather_than_the_committed_one(project):
    (shown,) = (project / "build" / "book" / "_images").glob("hero*.png")
    assert shown.read_bytes() == base64.b64decode(PNG)


def test_formulas_are_left_to_mathjax_and_code_and_prices_stay(project):
    page = read(project, "notebooks/00_a")
    assert "\\(x_i\\)" in page and "\\[\\sum_i x_i^2\\]" in page
    assert re.search(r"<code[^>]*>.*\$5.*</code> and \$3", page)
    assert re.search(r'<script[^>]*src="\.\./_static/tex-svg-full\.js', page)
    assert (project / "build" / "book" / "_static" / "tex-svg-full.js").is_file()


def test_links_lead_to_pages_and_to_headings_as_jupyterlab_names_them(project):
    page = read(project, "notebooks/00_a")
    below = re.search(r'href="#([^"]*)">below', page)[1]
    assert 'href="01_b.html"' in page and f'id="{below}"' in page and 'id="The-end-of-it"' in page
    assert "Contents</a>" not in page and "README" not in page  # the book has a navigation of its own


def test_answers_and_tables_are_folded(project):
    page = read(project, "notebooks/00_a")
    answers, symbols = (found[0] for found in re.finditer(r"(?s)<details><summary>.*?</details>", page))
    text = unescape(re.sub(r"<[^>]+>", "", answers))
    assert "x = 1 < 2\n\ny = 3" in text
    assert "<table" in symbols and "\\(x\\)" in symbols and "End." not in symbols


def test_a_folded_cell_is_its_output_and_its_source_on_demand(project):
    page = read(project, "notebooks/00_a")
    (folded,) = re.findall(r'(?s)<details class="[^"]*hide.*?</details>', page)
    assert "The code of this output" in folded and "secret" in folded and "so it is" not in folded
    assert page.count("secret") == 1 and "so it is" in page


def test_a_folded_cell_that_fails_shows_where(project):
    page = read(project, "notebooks/01_b")
    assert "broken" in page and "E: v" in re.sub(r"<[^>]+>", "", page) and "<details" not in page


def test_a_picture_has_a_text(project):
    assert re.findall(r'<img alt="(a still|a hero)"', read(project, "notebooks/00_a")) == ["a hero", "a still"]


def test_claims_of_a_quick_run_are_not_those_of_the_results(project):
    quick = project / "build" / "quick"
    (quick / "notebooks").mkdir(parents=True)
    nbformat.write(first_chapter(), quick / "notebooks" / "00_a.ipynb")
    site.bind(project, quick)
    assert not (quick / "book" / "RESULTS.html").exists()
    assert "hero" in (quick / "book" / "index.html").read_text(encoding="utf-8")


def test_what_an_earlier_book_had_does_not_stay(project, tmp_path):
    (tmp_path / "notebooks").mkdir()
    nbformat.write(first_chapter(), tmp_path / "notebooks" / "00_a.ipynb")
    (tmp_path / "book" / "notebooks").mkdir(parents=True)
    (tmp_path / "book" / "notebooks" / "09_gone.html").touch()
    site.bind(project, tmp_path)
    assert [p.name for p in (tmp_path / "book" / "notebooks").iterdir()] == ["00_a.html"]


def test_without_an_executed_notebook_there_is_no_book(tmp_path):
    with pytest.raises(ColdstartError, match="no executed notebook; `coldstart run` makes them"):
        site.bind(tmp_path, tmp_path / "build")
    assert not (tmp_path / "build").exists()


def test_the_executed_notebook_itself_is_left_alone(project):
    executed = nbformat.read(project / "build" / "notebooks" / "00_a.ipynb", as_version=4)
    assert executed.cells[0].metadata["tags"] == [pages.NAVIGATION]
    assert pages.read_record(executed)["headline"] == "h"
