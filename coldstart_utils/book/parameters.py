"""Parameters of chapters: what each may be, told before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..ground import ColdstartError

MOST_SEED = 2**32 - 1  # what NumPy's and scikit-learn's generators take


def check(parameters: Mapping[str, Any]) -> None:
    """Raise ColdstartError for the first of the `parameters` (name → value) that its chapter could not use.

    Names that no chapter of the series has may be anything.
    """
    for name, value in parameters.items():
        if name in RULES:
            expected, holds = RULES[name]
            if not holds(value):
                raise ColdstartError(f"parameter {name}: expected {expected}, got {value!r}")


def _whole(value: Any, low: int, high: float = float("inf")) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1


def _shots(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0 and all(_whole(one, 1) for one in value)


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_true_or_false(value: Any) -> bool:
    return isinstance(value, bool)


RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "DATASET": ("a name or a folder", _text),
    "MODEL": ("a name or a folder", _text),
    "SEED": (f"a whole number of 0 to {MOST_SEED}", lambda value: _whole(value, 0, MOST_SEED)),
    "TOP_K": ("a whole number of 1 or more", lambda value: _whole(value, 1)),
    "TRIALS": ("a whole number of 1 or more", lambda value: _whole(value, 1)),
    "MOST_ITEMS": ("a whole number of 10 or more", lambda value: _whole(value, 10)),
    "BUDGET": ("a share above 0 and below 1", _share),
    "SHOTS": ("a list of whole numbers of 1 or more", _shots),
    **dict.fromkeys(("QUICK", "LONG", "GENERATE"), ("True or False", _is_true_or_false)),
}
