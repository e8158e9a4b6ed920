"""What readers without a kernel see: offline HTML pages, navigation, and the tables of the README."""

from __future__ import annotations

import html
import json
import os
import re
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..ground import ColdstartError, written_aside
from .record import RECORD_MIME

# nbformat and nbconvert take a second or more to import, which `coldstart --help` should not.
if TYPE_CHECKING:
    from nbformat import NotebookNode


WIDGET_MIME = "application/vnd.jupyter.widget-view+json"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
FOLDED = "folded"
EXECUTION_METADATA = ("execution", "papermill", "ExecuteTime", "collapsed", "scrolled")
STYLE = """<style>
main { max-width: 1000px; margin: 0 auto; }
img { max-width: 100%; height: auto; }
pre { overflow-x: auto; }
.jp-RenderedMarkdown .highlight pre { white-space: pre-wrap; }
.jp-RenderedMarkdown pre, details pre { font-family: var(--jp-code-font-family, monospace); font-size: 13px;
  background: #f5f5f5; padding: 8px; white-space: pre; word-break: normal; }
.jp-RenderedMarkdown pre code { background: none; padding: 0; white-space: inherit; }
.jp-OutputArea-child:not(.jp-OutputArea-executeResult) > .jp-OutputPrompt { padding: 0 6px; }
.jp-OutputArea-output.jp-RenderedMarkdown { padding-left: 5px; }
.jp-RenderedHTMLCommon table { display: block; overflow-x: auto; }
math[display="block"] { margin: 12px 0; overflow-x: auto; }
@media print { .highlight pre, details pre { white-space: pre-wrap !important; } }
</style>"""


def write_html(notebook: NotebookNode, path: Path, root: Path) -> None:
    """Write an executed notebook as one page that needs no network; `root` is the project, where its images are."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(embed_images=True, mathjax_url="", require_js_url="", jquery_url="", mermaid_js_url="")
    shown, formulas = for_readers(notebook)
    body, _ = exporter.from_notebook_node(shown, {"metadata": {"name": path.stem, "path": str(root)}})
    # What is left of scripts renders formulas and diagrams from afar, and neither is there any more.
    body = re.sub(r"(?s)<script.*?</script>", "", body).replace("</head>", f"{STYLE}</head>", 1)
    # The exporter's clean-up of Markdown would drop MathML, so that it is put in last; not in the anchor of a heading.
    body = re.sub(r"FORMULA(\d+)MATHML(?![^<]*>)", lambda token: formulas[int(token[1])], body)
    # It would also close a block of details before the table in it.
    body = re.sub(r"<p>DETAILSOPEN(.*?)DETAILSNAMED</p>", r"<details><summary>\1</summary>", body)
    body = body.replace("<p>DETAILSCLOSE</p>", "</details>")
    body = with_links(body, path.parent, root)
    alternatives = iter(picture_texts(shown))
    body = re.sub('alt="No description[^"]*"', lambda _: f'alt="{html.escape(next(alternatives, ""))}"', body)
    with written_aside(path) as aside:
        aside.write_text(body, encoding="utf-8")


def for_readers(notebook: NotebookNode) -> tuple[NotebookNode, list[str]]:
    """Return a copy in which widgets are pictures, answers and folded code are `<details>`, and formulas tokens, and
    the MathML of these.
    """
    notebook, formulas = deepcopy(notebook), []
    drop_widgets(notebook)
    notebook.cells = [part for cell in notebook.cells for part in folded(cell)]
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            source = fold_tables(fold_answers(cell.source))
            cell.source = with_tokens(source, formulas).replace("](../figures/", "](figures/")
        for output in cell.get("outputs", []):
            if "text/markdown" in output.get("data", {}):
                output.data["text/markdown"] = with_tokens(output.data["text/markdown"], formulas)
    return notebook, formulas


def folded(cell: NotebookNode) -> list[NotebookNode]:
    """Return a cell as it is, or one tagged 'folded' as its output and, below it, its source in a `<details>` block.

    What failed is not folded, so that a reader sees where.
    """
    from nbformat.v4 import new_markdown_cell

    failed = any(output.output_type == "error" for output in cell.get("outputs", []))
    if FOLDED not in cell.metadata.get("tags", []) or failed:
        return [cell]
    cell.metadata["transient"] = {"remove_source": True}
    block = fold_answers(
        f"<details><summary>The code of this output</summary>\n```python\n{cell.source}\n```\n</details>"
    )
    return [cell, new_markdown_cell(block)]


def with_links(body: str, folder: Path, root: Path) -> str:
    """Return HTML whose links to notebooks lead to the pages beside it in `folder`, those to `root` out of it."""
    up = Path(os.path.relpath(root, folder)).as_posix()
    return re.sub(r'href="([^":/#]+)\.ipynb', r'href="\1.html', body.replace('href="../', f'href="{up}/'))


def picture_texts(notebook: NotebookNode) -> list[str]:
    """Return what stands for each picture among the outputs where it cannot be seen."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    return [o.metadata.get("image/png", {}).get("alt") or o.data.get("text/plain", "") for o in pictures]


def drop_widgets(notebook: NotebookNode) -> None:
    """Remove live views that have a still picture beside them, and the state of all."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output.data.pop(WIDGET_MIME, None)


def fold_answers(source: str) -> str:
    """Return Markdown in which the code of a `<details>` block is one line of HTML; a blank line would end it."""

    def fold(match: re.Match[str]) -> str:
        code = html.escape(match[2].strip()).replace("\n", "&#10;")
        return f"<details><summary>{match[1]}</summary><pre><code>{code}</code></pre></details>"

    return re.sub(r"(?s)<details><summary>(.*?)</summary>\s*```python\n(.*?)```\s*</details>", fold, source)


def fold_tables(source: str) -> str:
    """Return Markdown with tokens for the begin and end of each `<details>` block that holds Markdown, as a table."""
    block = r"(?s)<details><summary>([^<]*)</summary>\n\n(.*?)\n\n</details>"
    return re.sub(block, r"DETAILSOPEN\1DETAILSNAMED\n\n\2\n\nDETAILSCLOSE", source)


def with_tokens(source: str, formulas: list[str]) -> str:
    """Return Markdown with a token for each formula between dollar signs, whose MathML is added to `formulas`.

    Code and escaped dollars are left alone.
    """
    from latex2mathml.converter import convert

    code = r"(?P<code>(?s:```.*?```)|`[^`\n]*`|<pre>.*?</pre>|\\\$)"
    between = r"\$\$(?P<block>(?s:.+?))\$\$|\$(?P<inline>[^$\n]+?)\$"

    def token(match: re.Match[str]) -> str:
        if match["code"]:
            return match["code"]
        kind = "inline" if match["block"] is None else "block"
        try:
            formulas.append(convert(_letter_by_letter(match[kind]), display=kind))
        except Exception:  # a price or a name with a dollar in someone's data is no formula
            return match[0]
        return f"FORMULA{len(formulas) - 1}MATHML"

    return re.sub(f"{code}|{between}", token, source)


def _letter_by_letter(formula: str) -> str:
    r"""Return a formula with \mathcal, \mathbb and \mathbf around single letters, for which browsers have signs."""

    def split(match: re.Match[str]) -> str:
        return "".join(f"\\{match[1]}{{{letter}}}" for letter in match[2] or match[3])

    return re.sub(r"\\(mathcal|mathbb|mathbf)\s*(?:\{(\w+)\}|(\w))", split, formula)


def read_record(notebook: NotebookNode) -> dict[str, Any] | None:
    """Return the last record in the outputs of an executed notebook, or None."""
    outputs = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    found = next((data[RECORD_MIME] for data in reversed(outputs) if RECORD_MIME in data), None)
    return found and found | {kind: dict(found.get(kind, [])) for kind in ("claims", "findings")}


def read_results(root: Path) -> dict[str, dict[str, Any]]:
    """Return seconds and record of each notebook from the last full run of it."""
    path = root / "build" / "results.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def read_notebook(path: Path) -> tuple[NotebookNode, str, str]:
    """Return a notebook, its title and its question (the first line under the title).

    Raises ColdstartError for a file that is not a notebook or has no Markdown cell that starts with `# `.
    """
    import nbformat

    try:
        notebook = nbformat.read(path, as_version=4)
    except ValueError as error:
        raise ColdstartError(f"{path.name}: not a notebook ({error})") from None
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and cell.source.startswith("# "):
            title, *lines = (line.strip() for line in cell.source.splitlines())
            return notebook, title[2:].strip(), next((x for x in lines if x and not x.startswith("#")), "")
    raise ColdstartError(f"{path.name}: no Markdown cell starts with '# ' and the title")


def strip(notebook: NotebookNode) -> None:
    """Remove what execution left in a notebook, so that only what a person wrote is under version control."""
    notebook.metadata = METADATA
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        for key in EXECUTION_METADATA:
            cell.metadata.pop(key, None)
        # The tag says it to our pages, the other to JupyterLab.
        cell.metadata.pop("jupyter", None)
        if FOLDED in cell.metadata.get("tags", []):
            cell.metadata["jupyter"] = {"source_hidden": True}


def navigate(notebook: NotebookNode, before: tuple[str, str] | None, after: tuple[str, str] | None) -> None:
    """Set the first and last cell to links to the neighbours, each given as file name and title, and to the README."""
    from nbformat.v4 import new_markdown_cell

    links = [f"[← {before[1]}]({before[0]})"] if before else []
    links += ["[Contents](../README.md)"] + ([f"[{after[1]} →]({after[0]})"] if after else [])
    top, end = (
        new_markdown_cell(" | ".join(links), id=f"navigation-{place}", metadata={"tags": ["navigation"]})
        for place in ("top", "end")
    )
    body = [cell for cell in notebook.cells if "navigation" not in cell.metadata.get("tags", [])]
    notebook.cells = [top, *body, end]


def replace_block(text: str, name: str, body: str) -> str:
    """Return `text` with `body` between the markers of the block `name`; ColdstartError if the markers are missing."""
    block = re.compile(rf"(<!-- generated: {name} -->\n)(?:(?!<!--).)*(<!-- /generated -->)", re.DOTALL)
    if not block.search(text):
        raise ColdstartError(f"README.md: no block '<!-- generated: {name} -->' … '<!-- /generated -->'")
    return block.sub(lambda markers: f"{markers[1]}{body}\n{markers[2]}", text)


def generated(root: Path, series: list[Path]) -> dict[Path, str]:
    """Return the text that each notebook, and the README once all notebooks have results, should have.

    Raises ColdstartError for a notebook without a title and a README without its markers.
    """
    import nbformat

    results, texts = read_results(root), {}
    chapters = {path: read_notebook(path) for path in series}
    names = [(path.name, title) for path, (_, title, _) in chapters.items()]
    for n, (path, (notebook, *_)) in enumerate(chapters.items()):
        strip(notebook)
        navigate(notebook, names[n - 1] if n else None, names[n + 1] if n + 1 < len(names) else None)
        texts[path] = nbformat.writes(notebook) + "\n"
    if all(path.stem in results for path in chapters):
        readme = root / "README.md"
        text = readme.read_text(encoding="utf-8") if readme.exists() else ""
        gallery, claims = readme_tables(chapters, results)
        texts[readme] = replace_block(replace_block(text, "gallery", gallery), "results", claims)
    return texts


def readme_tables(
    chapters: dict[Path, tuple[NotebookNode, str, str]], results: dict[str, dict[str, Any]]
) -> tuple[str, str]:
    """Return the gallery and the table of results in Markdown."""
    gallery = [_row("Notebook", "Question", "Figure", "Seconds", "Claims held"), _row(*["---"] * 5)]
    claims = [_row("Notebook", "Result", "Holds"), _row(*["---"] * 3)]
    for path, (notebook, title, question) in chapters.items():
        seconds, record = results[path.stem]["seconds"], results[path.stem]["record"]
        link = f"[{title}](notebooks/{path.name})"
        hero = re.search(r"\.\./(figures/[^\s)\"']+\.png)", "\n".join(cell.source for cell in notebook.cells))
        figure = f'<img src="{hero[1]}" width="280">' if hero else ""
        gallery.append(_row(link, question, figure, f"{seconds:.0f}", held_of_all(record)))
        claims.append(_row(link, record["headline"], ""))
        claims += [_row("", claim, "✓" if held else "✗") for claim, held in record["claims"].items()]
    return "\n".join(gallery), "\n".join(claims)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def held_of_all(record: dict[str, Any]) -> str:
    """Return how many of a record's claims hold, such as '6/7'."""
    return f"{sum(record['claims'].values())}/{len(record['claims'])}"
