"""pyproject.toml, constraints.txt, environment.yml and Makefile say the same."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import rattler
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from coldstart_utils.book.cli import INSTALLABLE

ROOT = Path(__file__).parents[1]
CONDA_NAMES = {"torch": "pytorch"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CORE = [Requirement(line) for line in PROJECT["dependencies"]]
EXTRAS = [Requirement(line) for lines in PROJECT["optional-dependencies"].values() for line in lines]
ENVIRONMENT = (ROOT / "environment.yml").read_text()
*CONDA, PIP = yaml.safe_load(ENVIRONMENT)["dependencies"]
CONSTRAINTS = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
PINS = {canonicalize_name(name): version for name, version in (line.split("==") for line in CONSTRAINTS)}
PYTHONS = [line.split()[-1] for line in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", line)]


@pytest.mark.parametrize("line", CONDA)
def test_conda_line_is_valid(line):
    assert rattler.MatchSpec(line, strict=True).name is not None


def test_environment_has_the_packages_and_bounds_of_pyproject():
    conda = dict(line.split() for line in CONDA if " " in line and not line.startswith("python "))
    pip = [Requirement(line) for line in PIP["pip"] if line != "-e ."]
    assert "-e ." in PIP["pip"] and "pip" in CONDA
    found = conda | {requirement.name: str(requirement.specifier) for requirement in pip}
    assert found == {CONDA_NAMES.get(r.name, r.name): str(r.specifier) for r in CORE}


def test_environment_says_who_needs_each_line():
    lines = [line for line in ENVIRONMENT.splitlines() if re.match(r"\s+- [a-z-]+[^:]*[>=.]", line)]
    assert len(lines) >= len(CORE)
    assert [line for line in lines if "# " not in line and "python " not in line] == []


def test_supported_pythons_agree():
    lowest, highest = PYTHONS[0], int(PYTHONS[-1].split(".")[1])
    assert PROJECT["requires-python"] == f">={lowest}"
    assert f"python >={lowest},<3.{highest + 1}" in CONDA


@pytest.mark.parametrize("requirement", [r for r in CORE + EXTRAS if r.name != PROJECT["name"]], ids=str)
def test_constraints_pin_what_pyproject_asks_for(requirement):
    assert requirement.specifier.contains(PINS[requirement.name])


def test_constraints_hold_only_exact_public_versions():
    assert [line for line in CONSTRAINTS if not re.fullmatch(r"[\w.-]+==[\d.a-z]+", line)] == []
    assert len(PINS) == len(CONSTRAINTS)


@pytest.mark.parametrize("python", PYTHONS)
def test_pinned_versions_admit_every_supported_python(python):
    installed = {canonicalize_name(d.name): d for d in importlib.metadata.distributions()}
    pinned = [
        installed[name] for name, version in PINS.items() if name in installed and installed[name].version == version
    ]
    assert len(pinned) > 100
    # The first patch release: Debian 12 has 3.11.2, and a pin that asks for 3.11.5 would shut it out.
    refusing = [d for d in pinned if not SpecifierSet(d.metadata.get("Requires-Python") or "").contains(f"{python}.0")]
    assert [d.name for d in refusing] == []


def test_the_data_package_is_one_version_everywhere():
    for text in (ENVIRONMENT, (ROOT / "Makefile").read_text()):
        assert re.findall(r"recbole==\S+", text) == [INSTALLABLE["ml-100k"]]
        assert re.findall(r"obp==\S+", text) == [INSTALLABLE["open-bandit"]]


@pytest.mark.parametrize("torch, small", [("cpu", True), ("cuda", False)])
def test_set_up_asks_for_the_small_build_of_torch_unless_told_otherwise(torch, small):
    command = ["make", "-Bn", f"TORCH={torch}", f"PYTHON={sys.executable}", "setup"]
    planned = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert ("whl/cpu torch" in planned) == small
    assert planned.count("torch comes from the ordinary index") == small  # where that index is not reached
