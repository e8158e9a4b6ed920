"""pages: what is read from notebooks and generated for their readers."""

from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from coldstart_utils.book import pages
from coldstart_utils.book.record import RECORD_MIME
from coldstart_utils.ground import ColdstartError

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("[0-9]*.ipynb"))


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


def test_strip_keeps_tag_and_hidden_source_in_step():
    tagged = new_code_cell("x", metadata={"tags": ["folded"]})
    stale = new_code_cell("y", metadata={"jupyter": {"source_hidden": True}})
    notebook = new_notebook(cells=[tagged, stale])
    pages.strip(notebook)
    assert notebook.cells[0].metadata == {"tags": ["folded"], "jupyter": {"source_hidden": True}}
    assert notebook.cells[1].metadata == {}
