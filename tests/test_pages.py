"""pages: what a reader without a kernel and without a network sees."""

import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from coldstart_utils import pages


@pytest.fixture
def notebook():
    live = {pages.WIDGET_MIME: {"model_id": "x"}, "image/png": "aGVsbG8=", "text/plain": "a still"}
    answers = "<details><summary>Answers</summary>\n\n```python\nx = 1 < 2\n\ny = 3\n```\n</details>"
    cells = [
        new_markdown_cell("# T\n\nLet $x_i$ be `$5` and \\$3.\n\n$$\\sum_i x_i^2$$"),
        new_code_cell("1", outputs=[new_output("display_data", live)]),
        new_markdown_cell(answers),
    ]
    return new_notebook(cells=cells, metadata={"widgets": {"state": {}}})


def test_a_page_loads_nothing_from_afar(notebook, tmp_path):
    pages.write_html(notebook, tmp_path / "t.html", tmp_path)
    page = (tmp_path / "t.html").read_text(encoding="utf-8")
    assert re.findall(r"""(?:src|href)=["'](?:https?:)?//""", page) == []
    assert "<script" not in page


def test_formulas_are_mathml_and_code_and_prices_stay(notebook, tmp_path):
    pages.write_html(notebook, tmp_path / "t.html", tmp_path)
    page = (tmp_path / "t.html").read_text(encoding="utf-8")
    assert page.count("<math") == 2
    assert page.count('display="block"><mrow>') == 1
    assert "<msub><mi>x</mi><mi>i</mi></msub>" in page
    assert "<code>$5</code> and $3" in page


def test_pictures_are_embedded_and_have_a_text(notebook, tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "hero.png").write_bytes(b"hero")
    notebook.cells[0].source += "\n\n![a hero](../figures/hero.png)"
    pages.write_html(notebook, tmp_path / "t.html", tmp_path)
    page = (tmp_path / "t.html").read_text(encoding="utf-8")
    assert 'alt="a hero" src="data:image/png;base64,aGVybw=="' in page
    assert 'alt="a still"' in page


def test_answers_are_folded(notebook, tmp_path):
    pages.write_html(notebook, tmp_path / "t.html", tmp_path)
    page = (tmp_path / "t.html").read_text(encoding="utf-8")
    folded = re.search(r"(?s)<details>(.*?)</details>", page)[1]
    assert "x = 1 &lt; 2" in folded
    assert "y = 3" in folded


def test_a_panel_is_its_picture_and_the_notebook_itself_is_left_alone(notebook):
    shown, _ = pages.for_readers(notebook)
    assert set(shown.cells[1].outputs[0].data) == {"image/png", "text/plain"}
    assert "widgets" not in shown.metadata
    assert pages.WIDGET_MIME in notebook.cells[1].outputs[0].data
    nbformat.validate(shown)
