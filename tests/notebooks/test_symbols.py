"""One meaning a symbol: the table in chapter 00 is that of the series, and its letters are all that chapters use."""

import re
from pathlib import Path

import nbformat
from test_notebooks import each

TABLE = Path(__file__).parents[2] / "notebooks" / "00_cold_start.ipynb"
GREEK = (
    "alpha beta gamma delta epsilon varepsilon zeta eta theta iota kappa mu nu xi rho sigma tau phi chi psi omega ell"
)
GREEK = set(f"{GREEK} lambda Gamma Delta Theta Lambda Sigma Phi Psi Omega".split())
# What is read as a word or an operator, not as letters that mean something.
WORDS = re.compile(r"\\(?:text|mathrm|operatorname|mathsf|textrm|textbf|begin|end)\*?\{[^{}]*\}")
ALPHABET = re.compile(r"\\(?P<font>mathcal|mathbb|mathbf)\s*(?:\{(?P<braced>\w+)\}|(?P<bare>\w))")


def markdown(path):
    cells = nbformat.read(path, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def formulas(text):
    """Return what stands between dollar signs; code and escaped dollars are left alone."""
    text = re.sub(r"(?s)```.*?```|`[^`\n]*`|\\\$", "", text)
    return [block or inline for block, inline in re.findall(r"(?s)\$\$(.+?)\$\$|\$([^$\n]+?)\$", text)]


def symbols(formula):
    """Return the letters of a formula: Latin, Greek, and those of another alphabet, such as 'mathcal W'."""
    formula = WORDS.sub(" ", formula)
    found = {f"{m['font']} {letter}" for m in ALPHABET.finditer(formula) for letter in m["braced"] or m["bare"]}
    formula = ALPHABET.sub(" ", formula)
    commands = set(re.findall(r"\\([A-Za-z]+)", formula))
    return found | commands & GREEK | set(re.findall(r"[A-Za-z]", re.sub(r"\\[A-Za-z]+", " ", formula)))


def rows():
    """Return symbols and meaning of every row of the table in chapter 00."""
    table = re.search(r"(?s)<details><summary>Symbols.*?</details>", markdown(TABLE))[0]
    lines = [[part.strip() for part in line.strip("| ").split("|")] for line in table.splitlines() if "$" in line]
    return [(line[0], line[1]) for line in lines if line[0].startswith("$")]


def base(cell):
    """Return the letters that a row is about: those of its first column that are no index of another."""
    return set().union(*(symbols(re.sub(r"_(\{[^{}]*\}|\\?\w+)", "", formula)) for formula in formulas(cell)))


ROWS = rows()
LISTED = set().union(*(base(cell) for cell, _ in ROWS))


def test_letters_are_found():
    assert symbols(r"f_{ui}=\sum_{j\in\text{nearest}(i)} x_{uj}K_{ij}") == {*"fuijxK"}
    assert symbols(r"\hat V_{\mathcal C}=K_{\mathcal{CW}}\,(K+\lambda I)^{-1}") == {
        "V", "mathcal C", "mathcal W", "K", "lambda", "I"
    }  # fmt: skip
    assert formulas("a `$x$` b $y$ costs \\$5 $$z$$") == ["y", "z"]


def test_no_symbol_has_two_meanings():
    assert len(ROWS) > 40
    letters = [
        letter for cell, _ in ROWS if not cell.startswith(("$\\hat", "$\\bar", "$\\tilde")) for letter in base(cell)
    ]
    assert sorted({letter for letter in letters if letters.count(letter) > 1}) == []
    meanings = [meaning for _, meaning in ROWS]
    assert len(set(meanings)) == len(meanings)


@each
def test_chapters_use_the_symbols_of_the_table(path):
    used = set().union(*map(symbols, formulas(markdown(path))))
    assert sorted(used - LISTED) == []
    assert [formula for formula in formulas(markdown(path)) if re.search(r"(?<![A-Za-z])e\^", formula)] == []  # \exp
