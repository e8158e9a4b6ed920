"""Numbers in sentences: differences with their intervals, rows of a comparison, what is shown."""

from __future__ import annotations

import pandas as pd

# The columns of a `compare` table; any further one tells where a row stands, such as at how many ratings.
COMPARED = [
    "model",
    "metric",
    "mean",
    "low",
    "high",
    "baseline",
    "difference",
    "diff_low",
    "diff_high",
    "p",
    "n",
    "unit",
]
COMPARED += ["better", "worse", "answer", "told", "ahead"]
COMPARED += ["seconds", "times"]  # what it cost to run a row's model
METRICS = {"ndcg": "NDCG", "auc": "AUC", "mrr": "MRR"}  # what are not words


def told(difference: float, low: float, high: float, digits: int = 3) -> str:
    """Return a difference and its interval as text, '+.012 (+.010 to +.015)'."""
    return f"{signed(difference, digits)} ({signed(low, digits)} to {signed(high, digits)})"


def listed(table: pd.DataFrame) -> str:
    """Return the rows of a `compare` table but the baseline as text, 'name 0.342, +.012 (+.010 to +.015); …'."""
    rows = [row for row in table.itertuples() if row.model != row.baseline]
    return "; ".join(f"{row.model} {row.mean:.3f}, {row.told}" for row in rows)


def shown(table: pd.DataFrame) -> str:
    """Return in words which rows of a `compare` table are shown to differ, with their differences."""
    better, worse = (
        ", ".join(f"{row.model} {row.told}" for row in table[table[side]].itertuples()) for side in ("better", "worse")
    )
    parts = [f"shown to be {side}: {rows}" for side, rows in (("better", better), ("worse", worse)) if rows]
    return "; ".join(parts) or "none is shown to differ"


def evidence(rows: pd.Series | pd.DataFrame) -> str:
    """Return what a claim rests on as text: rows of `compare` tables, each with its baseline, measure and units.

    Such as 'text 0.317, +.236 (+.196 to +.277); random 0.081 (NDCG, 5 folds)'. Rows that share the baseline, the
    measure and the units name them once, at the end. A row of `compare_by` names its place on the curve.
    """
    table = rows.to_frame().T if isinstance(rows, pd.Series) else rows
    table = table[table["model"] != table["baseline"]]
    further = [column for column in table if column not in COMPARED]
    parts: dict[str, list[str]] = {}
    for _, row in table.iterrows():
        place = "".join(f", {column} {_short(row[column])}" for column in further)
        units = f"{METRICS.get(row.metric, row.metric)}{place}, {row.n} {row.unit}s"
        against = f"{row.baseline} {row['mean'] - row.difference:.3f} ({units})"
        parts.setdefault(against, []).append(f"{row.model} {row['mean']:.3f}, {row.told}")
    return "; ".join(f"{'; '.join(models)}; {text}" for text, models in parts.items())


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def answers(table: pd.DataFrame) -> str:
    """Return a `study.questions` table as a list in Markdown: question, answer, difference.

    Where the interval alone would show what Holm's correction over the questions does not, it says who is ahead.
    """
    lines = []
    for question, row in table.iterrows():
        text = f"- {capital(question)}{'' if question.endswith('?') else ':'} **{row.answer}**, {row.told}"
        if row.answer == "Not shown" and row.diff_low * row.diff_high > 0:
            leader, folds = (row.model, row.ahead) if row.difference > 0 else (row.baseline, row.n - row.ahead)
            where = f"in {folds} of {row.n} folds" if row.unit == "fold" else "on average"
            text += f": *{leader}* is ahead {where}, but not clearly enough for {len(table)} questions at once"
        lines.append(f"{text}.")
    return "\n".join(lines)


def marked(table: pd.DataFrame) -> pd.Series:
    """Return the differences of a `compare` table as text, each with its answer: '+.012 (+.010 to +.015), shown'."""
    words = {"Yes": "shown", "No, the reverse": "shown to be worse", "Not shown": "not shown"}
    return table["told"] + ", " + table["answer"].map(words)


def capital(text: str) -> str:
    """Return a text with its first letter in upper case and all others as they are."""
    return text[:1].upper() + text[1:]


def signed(number: float, digits: int = 3) -> str:
    """Return a number with its sign and without a zero before the point, '+.012', and '.000' for none."""
    text = f"{abs(number):.{digits}f}"
    sign = "" if not float(text) else "−" if number < 0 else "+"
    return sign + (text[1:] if text.startswith("0.") else text)
