"""What if somebody asked: four answers to one question, side by side, and the words that it shares with each film."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..ground import ColdstartError
from ..language.fields import Engine
from ..language.search import cleaned, remarked
from ..models.scores import mixture, rank_of, top_k
from .desk import Desk
from .state import MOST_ASKED, QuestionState, fitting

Array = np.ndarray

COLUMNS = ["list", "place", "name", "item", "words"]
SHOWN = 4  # words in common that are shown


@dataclass(frozen=True)
class Answers:
    """Four lists of items for one `question`, as it was read; no lists for one without words.

    `lists` has one row an item: list, place, name, item (its row), and `words`, what question and item share, the
    weightiest first. `meant` is the place of the film that is meant in each list, 0 where words know nothing of it.
    `unread` are the remarks on what was not read, by their key in `language.search.REMARKS`, with their numbers.
    """

    question: str
    lists: pd.DataFrame
    meant: dict[str, int]
    unread: dict[str, dict[str, int]]


def ask(desk: Desk, state: QuestionState, *, k: int = 8) -> Answers:
    """Return four lists of k items for a question. Raises ColdstartError for a state that does not fit the desk."""
    state = fitting(desk, state)
    try:
        question = cleaned(state.wanted[:MOST_ASKED])
    except ColdstartError:  # nothing is asked yet
        return Answers("", pd.DataFrame(columns=COLUMNS), {}, {})
    scores = ranked(desk.engine, question, desk.people.get(state.person))
    return Answers(
        question=question,
        lists=listed(desk.engine, question, desk.names, scores, k),
        meant={name: _place(name, own, desk.row[state.film]) for name, own in scores.items() if state.film},
        unread=remarked(question, desk.engine.words, desk.engine.encoder),
    )


def ranked(search: Engine, question: str, taste: Array | None = None, *, weight: float = 1.0) -> dict[str, Array]:
    """Return the scores [items] of four ways to answer a cleaned question: by words, by meaning, by both, and by both
    and a person's `taste` [items], their scores of all items (None: nobody's, and three ways).
    """
    parts = search.parts([question])
    by_words = parts.pop("words")
    both = mixture([by_words, *parts.values()])
    scores = {"by words": by_words, "by meaning": mixture(list(parts.values())), "by both": both}
    if taste is not None:
        scores["by both, for this person"] = mixture([both, taste], [1, weight])
    return {name: score[0] for name, score in scores.items()}


def listed(search: Engine, question: str, names: Sequence[str], scores: Mapping[str, Array], k: int) -> pd.DataFrame:
    """Return the lists of `Answers`, the k best items by each of the `scores` that `ranked` gives for a question."""
    added, rows = search.words.added(question), []
    for name, score in scores.items():
        for place, item in enumerate(top_k(score[None], min(k, len(score)))[0], start=1):
            # Words are all that an inverted index knows: where none is shared it has nothing to list.
            if name == "by words" and score[item] <= 0:
                continue
            shared = sorted((word for word in added if added[word][item] > 0), key=lambda word: -added[word][item])
            rows.append((name, place, names[item], int(item), ", ".join(shared[:SHOWN])))
    return pd.DataFrame(rows, columns=COLUMNS)


def _place(name: str, score: Array, item: int) -> int:
    """Return the place of an item, 1 for the best, 0 where it has nothing to be ranked by."""
    if name == "by words" and score[item] <= 0:
        return 0
    return int(rank_of(score[None], np.array([item]))[0])
