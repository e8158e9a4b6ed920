"""What a text states that can be checked without an opinion: its words, years, and the people it credits."""

from __future__ import annotations

import re

WORD = re.compile(r"[^\W_]+")
YEAR = re.compile(r"\b(?:19|20)\d\d\b")
# 'starring' and the like, then a name: two or more capitalised words, initials between them allowed.
CREDIT = re.compile(r"(?:directed by|director|starring|stars) ([A-Z][\w'-]+(?: [A-Z]\.)?(?: [A-Z][\w'-]+)+)")


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, in order, without punctuation."""
    return WORD.findall(text.lower())


def years(text: str) -> list[str]:
    """Return the numbers from 1900 to 2099 in a text, in order."""
    return YEAR.findall(text)


def credited(text: str) -> set[str]:
    """Return the names that a text calls directors or actors: 'directed by Rob Reiner' → {'Rob Reiner'}."""
    return set(CREDIT.findall(text))


def part_of(text: str, other: str, *, shared: bool) -> str:
    """Return the words of `text` that occur in `other` too (`shared`), or those that do not, joined by spaces."""
    known = set(words(other))
    return " ".join(word for word in words(text) if (word in known) == shared)
