"""What every notebook does first and last: set up, show source, record."""

from __future__ import annotations

import inspect
import math
import os
import random
import re
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas

from ..ground import ColdstartError, versions
from .parameters import check

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
    claims: dict[str, bool],
    findings: dict[str, bool],
    metrics: dict[str, float] | None = None,
    headline: str = "",
) -> None:
    """Store a notebook's results in its own output (as JSON under `RECORD_MIME`) and list the claims.

    `claims` must hold on any data. `findings` are claims about MovieLens-100K at full size; elsewhere they are told,
    not counted. Raises ColdstartError for a claim that is not a boolean or a metric that is not a finite number.
    """
    if run.parameters.get("DATASET") == "ml-100k" and not run.quick:
        claims, findings = claims | findings, {}
    for name, held in (claims | findings).items():
        if not isinstance(held, bool | np.bool_):
            raise ColdstartError(f"claim {name!r}: expected True or False, got {held!r}")
    for name, value in (metrics or {}).items():
        if not math.isfinite(value):
            raise ColdstartError(f"metric {name!r}: expected a finite number, got {value!r}")
    data = {
        "notebook": run.notebook,
        "parameters": run.parameters,
        # Lists: notebook files sort the keys of a mapping, and claims are told in their order.
        "claims": [[claim, bool(held)] for claim, held in claims.items()],
        "findings": [[claim, bool(held)] for claim, held in findings.items()],
        "metrics": {k: float(v) for k, v in (metrics or {}).items()},
        "headline": headline,
        "versions": versions(),
    }
    from IPython.display import display

    lines = "\n".join(f"- {'✓ holds' if held else '✗ **does not hold**'}: {name}" for name, held in claims.items())
    display({RECORD_MIME: data, "text/plain": f"{sum(claims.values())} of {len(claims)} claims hold"}, raw=True)
    if findings:
        lines += "\n\nSeen here, but claimed for MovieLens-100K at full size only:\n\n"
        lines += "\n".join(f"- {'yes' if held else 'no'}: {name}" for name, held in findings.items())
    tell(lines)
