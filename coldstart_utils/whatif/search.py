"""What if somebody asked: four answers to one question, side by side, and the words that it shares with each film."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..language.fields import Engine
from ..language.search import cleaned, remarks
from ..models.scores import mixture, top_k

Array = np.ndarray


def four_answers(
    search: Engine, question: str, names: Sequence[str], taste: Array | None = None, *, k: int = 8, weight: float = 1.0
) -> tuple[pd.DataFrame, list[str]]:
    """Return four lists of k items, and in sentences what was not read of the question.

    Lists by words, by meaning, by both, and by both and a person's `taste` [items], their scores of all items (None:
    nobody's). One row an item: list, place, name, and `words`, what question and item share, the weightiest first.
    Raises ColdstartError for a question without words.
    """
    question = cleaned(question)
    parts = search.parts([question])
    words = parts.pop("words")
    both = mixture([words, *parts.values()])
    scores = {"by words": words, "by meaning": mixture(list(parts.values())), "by both": both}
    if taste is not None:
        scores["by both, for this person"] = mixture([both, taste], [1, weight])
    rows = []
    for name, score in scores.items():
        for place, item in enumerate(top_k(score, min(k, score.shape[1]))[0], start=1):
            # Words are all that an inverted index knows: where none is shared it has nothing to list.
            if name == "by words" and score[0, item] <= 0:
                continue
            shared = ", ".join(list(search.words.matched(question, item))[:4])
            rows.append({"list": name, "place": place, "name": names[item], "item": int(item), "words": shared})
    return pd.DataFrame(rows, columns=["list", "place", "name", "item", "words"]), remarks(
        question, search.words, search.encoder
    )
