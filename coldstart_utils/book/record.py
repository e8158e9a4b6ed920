"""What every notebook does first and last: set up, show source, record."""

from __future__ import annotations

import inspect
import math
import os
import random
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas

from ..ground import ColdstartError, versions
from ..measure.phrases import evidence
from .parameters import check

# Whether a claim held, alone or with what it rests on: rows of a comparison, or a text.
Claim = bool | tuple[bool, pandas.Series | pandas.DataFrame | str]

RECORD_MIME = "application/vnd.coldstart.record+json"
CODE = re.compile(r"(`+[^`]*`+)")


@dataclass(frozen=True)
class Run:
    """What one execution of a notebook was asked to do: its name and its parameters."""

    notebook: str
    seed: int
    quick: bool
    parameters: dict[str, Any] = field(default_factory=dict)

    def seeds(self, full: int, quick: int = 2) -> range:
        """Return the seeds of repeated splits: `full` of them, or `quick` in QUICK mode, counted from `seed`."""
        return range(self.seed, self.seed + (quick if self.quick else full))


def setup(notebook: str, *, seed: int, quick: bool, **parameters: Any) -> Run:
    """Seed Python's and NumPy's generators (not torch's), quieten libraries, and return the `Run` that labels results.

    Raises ColdstartError for a value that a chapter could not use (`parameters.check`; papermill passes literals).
    """
    check({"SEED": seed, "QUICK": quick, **parameters})
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries that take no generator read the global one
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.filterwarnings("ignore", message=".*IProgress not found.*")
    # In a title from the data, a dollar is a dollar.
    pandas.set_option("display.html.use_mathjax", False)
    pandas.set_option("styler.html.mathjax", False)
    return Run(notebook, seed, quick, {"SEED": seed, "QUICK": quick, **parameters})


def show_source(function: Any) -> Any:
    """Return the source of `function` as highlighted Markdown, so that a notebook cannot drift from the package."""
    from IPython.display import Markdown

    return Markdown(f"```python\n{inspect.getsource(function)}```")


def tell(text: str) -> None:
    """Display a sentence with computed numbers as Markdown; a dollar in it, as names in data have, is no formula."""
    from IPython.display import Markdown, display

    # Between backticks a dollar is a dollar already, and a backslash would be seen.
    parts = CODE.split(text)
    parts[::2] = [part.replace("$", r"\$") for part in parts[::2]]
    display(Markdown("".join(parts)))


def record(
    run: Run,
    *,
    claims: Mapping[str, Claim],
    findings: Mapping[str, Claim],
    metrics: dict[str, float] | None = None,
    headline: str = "",
) -> None:
    """Store a notebook's results in its own output (as JSON under `RECORD_MIME`) and list the claims.

    `claims` must hold on any data. `findings` are claims about MovieLens-100K at full size; elsewhere they are told,
    not counted. Each is True or False, or a pair of that and its evidence, which `RESULTS.md` prints beside it: rows
    of `study.compare`, or a text. Raises ColdstartError for a claim that is not a boolean or a metric that is not a
    finite number.
    """
    held, rests_on = _parted(claims)
    also_held, also_rests_on = _parted(findings)
    if run.parameters.get("DATASET") == "ml-100k" and not run.quick:
        held, also_held = held | also_held, {}
    for name, value in (metrics or {}).items():
        if not math.isfinite(value):
            raise ColdstartError(f"metric {name!r}: expected a finite number, got {value!r}")
    data = {
        "notebook": run.notebook,
        "parameters": run.parameters,
        # Lists: notebook files sort the keys of a mapping, and claims are told in their order.
        "claims": [*map(list, held.items())],
        "findings": [*map(list, also_held.items())],
        "evidence": rests_on | also_rests_on,
        "metrics": {k: float(v) for k, v in (metrics or {}).items()},
        "headline": headline,
        "versions": versions(),
    }
    from IPython.display import display

    lines = "\n".join(f"- {'✓ holds' if is_so else '✗ **does not hold**'}: {name}" for name, is_so in held.items())
    display({RECORD_MIME: data, "text/plain": f"{sum(held.values())} of {len(held)} claims hold"}, raw=True)
    if also_held:
        lines += "\n\nSeen here, but claimed for MovieLens-100K at full size only:\n\n"
        lines += "\n".join(f"- {'yes' if is_so else 'no'}: {name}" for name, is_so in also_held.items())
    tell(lines)


def is_shown(rows: pandas.Series | pandas.DataFrame, tick: str = "better") -> Claim:
    """Return the claim that every one of `rows` of `study.compare` is shown to be `tick`, 'better' or 'worse'.

    It does not hold where there is no row.
    """
    return len(rows) > 0 and bool(np.all(rows[tick])), rows


def not_shown(rows: pandas.Series | pandas.DataFrame, *ticks: str) -> Claim:
    """Return the claim that none of `rows` of `study.compare` is shown to be one of `ticks` ('better' if none is
    given).
    """
    return not any(np.any(rows[tick]) for tick in ticks or ["better"]), rows


def _parted(claims: Mapping[str, Claim]) -> tuple[dict[str, bool], dict[str, str]]:
    """Return which claims held, and the evidence of those that name any, as text."""
    held, rests_on = {}, {}
    for name, claim in claims.items():
        is_so, proof = claim if isinstance(claim, tuple) else (claim, "")
        if not isinstance(is_so, bool | np.bool_):
            raise ColdstartError(f"claim {name!r}: expected True or False, got {is_so!r}")
        text = proof if isinstance(proof, str) else evidence(proof)
        held[name] = bool(is_so)
        if text:
            rests_on[name] = text
    return held, rests_on
