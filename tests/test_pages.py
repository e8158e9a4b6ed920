"""pages: what a reader without a kernel and without a network sees."""

import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from coldstart_utils.book import pages
from coldstart_utils.book.record import RECORD_MIME
from coldstart_utils.ground import ColdstartError

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("[0-9]*.ipynb"))


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


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_formula_of_the_series_is_converted(path):
    shown, formulas = pages.for_readers(nbformat.read(path, as_version=4))
    prose = "\n".join(cell.source for cell in shown.cells if cell.cell_type == "markdown")
    without_code = re.sub(r"`[^`]*`|\\\$", "", prose)
    assert formulas and "$" not in without_code
    assert [formula for formula in formulas if "\\" in formula] == []  # a command that latex2mathml does not know


def test_letters_of_another_alphabet_are_signs_of_their_own():
    formulas = []
    pages.with_tokens(r"$\mathcal W$ $K_{\mathcal{CW}}$ $\mathbb E$", formulas)
    assert ["𝒲" in formulas[0] or "&#x1D4B2;" in formulas[0], "mathvariant" in "".join(formulas)] == [True, False]


def test_a_table_can_be_folded(notebook, tmp_path):
    table = "Text.\n\n<details><summary>Symbols</summary>\n\n| a | b |\n|---|---|\n| $x$ | 1 |\n\n</details>\n\nEnd."
    notebook.cells.append(new_markdown_cell(table))
    pages.write_html(notebook, tmp_path / "t.html", tmp_path)
    page = (tmp_path / "t.html").read_text(encoding="utf-8")
    assert re.search(r"(?s)<details><summary>Symbols</summary>\s*<table>.*<math.*</table>\s*</details>\s*<p>End", page)
    assert "DETAILS" not in page


def test_dollars_that_enclose_no_formula_stay():
    formulas = []
    assert pages.with_tokens("A$AP {and_$", formulas) == "A$AP {and_$"
    assert formulas == []


def test_a_formula_in_a_heading_leaves_its_anchor_whole(notebook, tmp_path):
    notebook.cells[0].source += "\n\n## What $k$ is"
    pages.write_html(notebook, tmp_path / "t.html", tmp_path)
    page = (tmp_path / "t.html").read_text(encoding="utf-8")
    assert re.search(r'<h2 id="([^"<]*)">What <math.*?</math> is<a class="anchor-link" href="#\1">', page)


def test_links_lead_to_pages_and_out_of_the_build_folder(notebook, tmp_path):
    notebook.cells[0].source += "\n\n[next](01_next.ipynb#part) and [contents](../README.md)"
    pages.write_html(notebook, tmp_path / "build" / "html" / "t.html", tmp_path)
    page = (tmp_path / "build" / "html" / "t.html").read_text(encoding="utf-8")
    assert 'href="01_next.html#part"' in page
    assert 'href="../../README.md"' in page


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


def test_read_record_takes_the_last():
    outputs = [
        new_output("display_data", {RECORD_MIME: {"claims": [["b", True], ["a", False]], "n": n}}) for n in (1, 2)
    ]
    cells = [new_code_cell("x", outputs=outputs), new_code_cell("y", outputs=[new_output("stream", text="z")])]
    assert pages.read_record(new_notebook(cells=cells))["n"] == 2
    assert list(pages.read_record(new_notebook(cells=cells))["claims"]) == ["b", "a"]
    assert pages.read_record(new_notebook(cells=cells[1:])) is None


def test_strip_keeps_what_a_person_wrote():
    cell = new_code_cell("x", outputs=[new_output("stream", text="z")], execution_count=3, id="mine")
    cell.metadata = {"tags": ["record"], "papermill": {"status": "completed"}, "execution": {}}
    notebook = new_notebook(cells=[cell], metadata={"widgets": {}, "kernelspec": {"name": "anna", "display_name": "A"}})
    pages.strip(notebook)
    assert notebook.metadata == pages.METADATA
    assert notebook.cells == [new_code_cell("x", id="mine", metadata={"tags": ["record"]})]


def test_a_block_without_its_end_swallows_nothing():
    text = "<!-- generated: gallery -->\na\n<!-- generated: results -->\n<!-- /generated -->\n"
    with pytest.raises(ColdstartError, match="generated: gallery"):
        pages.replace_block(text, "gallery", "x")


def test_a_folded_cell_is_its_output_and_its_source_on_demand(notebook, tmp_path):
    told = new_output("display_data", {"text/markdown": "so it is"})
    notebook.cells.append(new_code_cell("secret = 1 < 2", outputs=[told], metadata={"tags": ["folded"]}))
    pages.write_html(notebook, tmp_path / "t.html", tmp_path)
    page = (tmp_path / "t.html").read_text(encoding="utf-8")
    assert "so it is" in page
    # Once, as the text of the details, and not as highlighted input.
    assert page.count("secret") == 1 and re.search(
        r"(?s)<details><summary>[^<]*</summary><pre><code>secret = 1 &lt; 2", page
    )


def test_a_folded_cell_that_fails_shows_where(notebook):
    error = new_output("error", ename="E", evalue="v", traceback=["E: v"])
    notebook.cells.append(new_code_cell("secret", outputs=[error], metadata={"tags": ["folded"]}))
    shown, _ = pages.for_readers(notebook)
    assert shown.cells[-1].source == "secret" and "transient" not in shown.cells[-1].metadata


def test_strip_keeps_tag_and_hidden_source_in_step():
    tagged = new_code_cell("x", metadata={"tags": ["folded"]})
    stale = new_code_cell("y", metadata={"jupyter": {"source_hidden": True}})
    notebook = new_notebook(cells=[tagged, stale])
    pages.strip(notebook)
    assert notebook.cells[0].metadata == {"tags": ["folded"], "jupyter": {"source_hidden": True}}
    assert notebook.cells[1].metadata == {}
