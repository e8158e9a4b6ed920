"""Every notebook runs in QUICK mode, keeps its claims, and has the form of the series."""

import ast
import hashlib
import re
import shutil
import statistics
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell
from typer.testing import CliRunner

from coldstart_utils.book import cli, pages, run

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def tagged(notebook, tag):
    return [n for n, cell in enumerate(notebook.cells) if tag in cell.metadata.get("tags", [])]


def answers(notebook):
    """Return the Python of the folded answers to the exercises."""
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    folded = re.findall(r"<details>.*?</details>", prose, re.DOTALL)
    return [code for text in folded for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL)]


def copy_project(folder):
    (folder / "notebooks").mkdir()
    shutil.copy(ROOT / "pyproject.toml", folder)
    for path in NOTEBOOKS:
        shutil.copy(path, folder / "notebooks")
    return folder


def figures():
    return {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in (ROOT / "figures").rglob("*") if p.is_file()}


@pytest.fixture(scope="session")
def quick_run(request, tmp_path_factory):
    """Run a copy of the notebooks that are tested with the answers to their exercises appended; return the results and
    what they drew.
    """
    root = copy_project(tmp_path_factory.mktemp("quick"))
    tested = [getattr(item, "callspec", None) for item in request.session.items if "quick_run" in item.fixturenames]
    asked = [spec.params["path"].stem for spec in tested if spec and "path" in spec.params]
    paths = run.find_notebooks(root, asked)
    for path in paths:
        notebook = read(path)
        notebook.cells += [new_code_cell(code) for code in answers(notebook)]
        nbformat.write(notebook, path)
    before = figures()
    results = run.run_series(root, paths, quick=True, jobs=2)
    drawn = set(figures().items()) ^ set(before.items()) | set(root.rglob("figures/*"))
    return {result.notebook: result for result in results}, drawn


def test_there_are_notebooks():
    assert NOTEBOOKS


@each
def test_runs_and_its_claims_hold(path, quick_run):
    result = quick_run[0][path.stem]
    assert result.error is None, result.error
    assert result.record["claims"]
    assert result.faults() == []


def test_quick_run_draws_nothing(quick_run):
    assert quick_run[1] == set()


def lines_of(notebook):
    """Return the lines of each code cell that a reader scrolls through, of each that is folded, and of the record."""
    lines = {"open": [], "folded": [], "record": []}
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        kind = next((tag for tag in ("record", "folded") if tag in cell.metadata.get("tags", [])), "open")
        lines[kind].append(cell.source.count("\n") + 1)
    return lines.values()


@each
def test_what_a_reader_scrolls_through_is_the_lesson(path):
    notebook = read(path)
    shown, hidden, recorded = lines_of(notebook)
    assert sum(shown) <= 150
    assert statistics.median(shown) <= 6
    assert max(shown) <= 20
    assert sum(hidden) <= 100
    assert sum(recorded) <= 45  # one line a claim, where it fits
    assert 20 <= len(notebook.cells) <= 65


@each
def test_every_open_cell_is_announced(path):
    cells = [c for c in read(path).cells if "folded" not in c.metadata.get("tags", [])]
    follows = [cells[n - 1].cell_type for n, c in enumerate(cells) if c.cell_type == "code"]
    assert follows.count("code") <= 1  # the imports follow the parameters


@each
def test_folded_cells_are_hidden_in_jupyterlab_too(path):
    code = [cell for cell in read(path).cells if cell.cell_type == "code"]
    hidden = [cell.metadata.get("jupyter", {}).get("source_hidden", False) for cell in code]
    assert hidden == ["folded" in cell.metadata.get("tags", []) for cell in code]


@each
def test_a_picture_of_the_idea(path):
    notebook = read(path)
    picture = f"figures/{path.stem[:2]}_idea.png"
    assert f"](../{picture})" in "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    assert (ROOT / picture).is_file() and (ROOT / picture).with_suffix(".py").is_file()


@each
def test_length_of_prose(path):
    notebook = read(path)
    navigation = tagged(notebook, "navigation")
    prose = [c.source for n, c in enumerate(notebook.cells) if c.cell_type == "markdown" and n not in navigation]
    # The folded table of symbols and the glossary of chapter 00 are looked up, not read.
    text = re.sub(r"<details><summary>(Symbols|Glossary).*?</details>", "", "\n".join(prose), flags=re.DOTALL)
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    words = [word for word in text.split() if any(letter.isalpha() for letter in word)]
    assert 900 <= len(words) <= 1900


@each
def test_parameters_are_literals_with_a_comment(path):
    notebook = read(path)
    (place,) = tagged(notebook, "parameters")
    source = notebook.cells[place].source
    assignments = ast.parse(source).body
    assert all(isinstance(node, ast.Assign) for node in assignments)
    values = {node.targets[0].id: ast.literal_eval(node.value) for node in assignments}
    assert {"DATASET", "SEED", "TOP_K", "QUICK"} <= set(values)
    assert values["QUICK"] is False
    assert [line for line in source.splitlines() if "#" not in line] == []


@each
def test_navigation_frames_and_record_closes(path):
    notebook = read(path)
    assert tagged(notebook, "navigation") == [0, len(notebook.cells) - 1]
    code = [n for n, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    assert tagged(notebook, "record") == code[-1:]


@each
def test_exercises_have_folded_answers(path):
    assert answers(read(path))


@each
def test_is_stripped(path):
    notebook = read(path)
    assert notebook.metadata == pages.METADATA
    assert [c.id for c in notebook.cells if c.get("outputs") or c.get("execution_count")] == []
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)


@pytest.fixture
def own_catalogue(tmp_path):
    """A folder as a user would make it by hand: 50 items, 40 users with a taste for one of four genres."""
    rng = np.random.default_rng(0)
    genres = ["Comedy", "Drama", "Thriller", "Western"]
    folder = tmp_path / "tiny"
    folder.mkdir()
    items, users, ratings = [], [], []
    for item in range(1, 51):
        kinds = genres[item % 4] if item % 3 else f"{genres[item % 4]} {genres[(item + 1) % 4]}"
        items.append(f"{item}\tThe {genres[item % 4]} of {1950 + item}\t{1950 + item}\t{kinds}")
    for user in range(1, 41):
        users.append(f"{user}\t{20 + user}\t{'MF'[user % 2]}\t{['clerk', 'nurse', 'student'][user % 3]}")
        liking = np.array([4.0 if (item - user) % 4 == 0 else 1.0 for item in range(1, 51)])
        for item in rng.choice(50, size=20, replace=False, p=liking / liking.sum()):
            rating = round(np.clip(rng.normal(3 + (liking[item] - 1) / 3, 0.7), 1, 5))
            ratings.append(f"{user}\t{item + 1}\t{rating:.1f}\t{880_000_000 + int(rng.integers(10_000_000))}")
    tables = {
        "inter": ("user_id:token\titem_id:token\trating:float\ttimestamp:float", ratings),
        "item": ("item_id:token\ttitle:token_seq\tyear:token\tgenres:token_seq", items),
        "user": ("user_id:token\tage:token\tgender:token\toccupation:token", users),
    }
    for suffix, (header, lines) in tables.items():
        (folder / f"tiny.{suffix}").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return folder


def test_a_users_own_folder_is_found_from_the_command_line(own_catalogue, tmp_path, monkeypatch):
    """Two chapters with kernels of their own; `tests/catalogues` takes such a folder through all."""
    monkeypatch.chdir(copy_project(tmp_path))
    outcome = CliRunner().invoke(cli.app, ["run", "00", "11", "--quick", "-p", "DATASET", "tiny"])
    assert outcome.exit_code == 0, outcome.output
