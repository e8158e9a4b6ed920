"""What strangers read first: both READMEs say the same, links lead somewhere, the citation is one."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CHAPTERS = {path.name for path in (ROOT / "notebooks").glob("[0-9]*.ipynb")}
PAGES = sorted(ROOT.glob("*.md"))
FINISHED = [ROOT / "README.md", ROOT / "README.zh-CN.md"]


def table_of(page):
    """Return the chapters that the lines of a README's tables name, in order."""
    lines = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    return [found[1] for line in lines if (found := re.search(r"\]\(notebooks/([^)]+)\)", line))]


def commands_of(page):
    """Return what is typed into a shell: the lines of `sh` blocks without their comments."""
    blocks = re.findall(r"(?s)```sh\n(.*?)```", page.read_text(encoding="utf-8"))
    return [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]


@pytest.mark.parametrize("page", FINISHED, ids=lambda page: page.name)
def test_a_readme_names_every_chapter_once_and_in_order(page):
    assert table_of(page) == sorted(CHAPTERS)


def test_both_readmes_give_the_same_commands():
    english, chinese = map(commands_of, FINISHED)
    assert english == chinese
    assert {"make lab", "make notebooks", "make test"} <= set(english)


def test_every_make_target_that_a_page_names_exists():
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8")))
    named = {name for page in PAGES for name in re.findall(r"[`\n]make ([a-z-]+)", page.read_text(encoding="utf-8"))}
    assert named and named <= targets | {"help"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_of_a_page_exist(page):
    text = re.sub(r"(?s)```.*?```", "", page.read_text(encoding="utf-8"))
    found = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text)
    local = {target.split("#")[0] for target in found if not re.match(r"https?:|#", target)}
    assert [target for target in local if not (ROOT / target).exists()] == []


def test_the_readme_leads_with_the_first_five_minutes():
    parts = re.findall(r"(?m)^## (.*)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert parts[0] == "The first five minutes"


def test_the_citation_has_what_a_reader_of_it_needs():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{citation["version"]}"' in project and f'license = "{citation["license"]}"' in project


def steps_of(workflow, job):
    """Return the commands of a job, and the job."""
    text = (ROOT / ".github" / "workflows" / f"{workflow}.yml").read_text(encoding="utf-8")
    found = yaml.safe_load(text)["jobs"][job]
    return [step["run"] for step in found["steps"] if "run" in step], found


def test_a_fork_runs_both_commands_on_every_python_that_the_package_admits():
    commands, job = steps_of("test", "both-commands")
    assert commands[:2] == ["make notebooks", "make test"]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert job["strategy"]["matrix"]["python"] == re.findall(r"Python :: (3\.\d+)", project)


def test_a_fork_can_publish_the_book_that_the_main_command_binds():
    commands, job = steps_of("book", "book")
    assert commands == ["make notebooks"]
    assert {step["with"]["path"] for step in job["steps"] if "upload" in step.get("uses", "")} == {"build/book"}
