"""Several words in one field, such as genres: how they are told apart."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pandas as pd

SEPARATORS = ("|", ";", ",", "/")


def separator_of(values: Iterable[str]) -> str:
    """Return what stands between the entries of a field: the sign among | ; , / that most rows hold, else a space.

    A sign counts where more rows have it than have a space and not it: 'Film-Noir Crime' is two entries, and a single
    'Rhythm & Blues' among hundreds of lists with commas is one.
    """
    rows = pd.Series([*values], dtype=object)
    best, most = " ", 0
    for sign in SEPARATORS:
        held = rows.str.contains(sign, regex=False).sum()
        spaced = (rows.str.strip().str.contains(" ") & ~rows.str.contains(sign, regex=False)).sum()
        if held > max(spaced, most):
            best, most = sign, held
    return best


def entries(values: Iterable[str], separator: str | None = None) -> list[list[str]]:
    """Return the entries of each field, in their order, each once; `separator` None finds out what parts them.

    The brackets and quotation marks of a list written out, "['Comedy', 'Drama']", are left out.
    """
    fields = [_unlisted(value) for value in values]
    between = separator_of(fields) if separator is None else separator
    parts = ([part.strip() for part in field.split(between)] for field in fields)
    return [[*dict.fromkeys(filter(None, each))] for each in parts]


def _unlisted(value: str) -> str:
    if not re.fullmatch(r"\s*\[.*\]\s*", value):
        return value
    return ",".join(part.strip().strip("'\"") for part in value.strip()[1:-1].split(","))
