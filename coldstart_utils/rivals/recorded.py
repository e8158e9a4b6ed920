"""What was recorded of the rivals: the table of all worlds and folds, and the learning curves."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ..ground import ColdstartError, package_file

TABLE, CURVES = "papers.tsv", "papers-curves.tsv"
KEY = ["world", "asked", "model", "fold"]
COLUMNS = [*KEY, "users", "items", "ndcg", "recall", "tail_recall", "seconds", "setting", "trials"]
CURVE_COLUMNS = ["model", "fold", "epoch", "seconds", "loss", "ndcg"]


def table(asked: str = "new items", path: Path | None = None) -> pd.DataFrame:
    """Return the recorded rows (`COLUMNS`) about 'new items' or 'new users, 5 choices', one a world, model and fold.

    Raises ColdstartError for what was not asked.
    """
    rows = pd.read_csv(path or package_file(TABLE), sep="\t", keep_default_na=False, na_values=["nan"])
    known = list(rows["asked"].unique())
    if asked not in known:
        raise ColdstartError(f"recorded rows: expected what is asked to be one of {known}, got {asked!r}")
    return rows[rows["asked"] == asked].reset_index(drop=True)


def curves(path: Path | None = None) -> pd.DataFrame:
    """Return the recorded learning curves on MovieLens-100K (`CURVE_COLUMNS`), one row a model, fold and epoch."""
    return pd.read_csv(path or package_file(CURVES), sep="\t")


def knobs_of(setting: str) -> dict[str, float]:
    """Return the numbers of a recorded setting such as 'rate 0.01, epochs 12', by knob."""
    parts = [part.rsplit(" ", 1) for part in setting.split(", ") if part]
    return {name: float(number) for name, number in parts}
