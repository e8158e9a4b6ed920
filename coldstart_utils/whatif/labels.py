"""What the panels say, in English and Chinese."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from ..ground import package_file

LANGUAGES = ("en", "zh")


@cache
def labels() -> dict[str, list[str]]:
    """Return each label or sentence by its key, in the order of LANGUAGES."""
    return json.loads(package_file("panels.json").read_text(encoding="utf-8"))


def say(key: str, language: str, **values: Any) -> str:
    """Return the label or sentence `key` in the `language` 'en' or 'zh', with its `values` filled in."""
    return labels()[key][LANGUAGES.index(language)].format(**values)


def reason(part: str, by: str, *, liked: bool, language: str) -> str:
    """Return why an entry is in a list: its largest `part`, and the film `by` whose answer gives most."""
    if part == "films":
        return say("reason yes" if liked else "reason no", language, by=by)
    return say(f"reason {part}", language)
