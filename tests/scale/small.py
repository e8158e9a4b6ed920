"""A small shop, and an encoder that needs no language model."""

import hashlib

import numpy as np
import pandas as pd

USERS, ITEMS, NEW, WIDTH = 60, 40, 6, 8


class ByWords:
    """An encoder that needs no language model: every word has a direction of its own."""

    max_tokens, tokenizer = 256, None

    def encode(self, texts):
        def direction(word):
            seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
            return np.random.default_rng(seed).standard_normal(WIDTH)

        return np.array([sum((direction(word) for word in text.split()), np.zeros(WIDTH)) for text in texts])


class FailsOnce(ByWords):
    """An encoder whose first attempt at every task dies."""

    def encode(self, texts):
        from pyspark import TaskContext

        if TaskContext.get().attemptNumber() == 0:
            raise RuntimeError("this machine is lost")
        return super().encode(texts)


def shop():
    """Return choices and texts: users choose from one of two kinds of items; the last items are chosen by nobody."""
    rng = np.random.default_rng(0)
    kinds = ("war", "love")
    texts = [(f"i{n:02}", f"{kinds[n % 2]} {kinds[n % 2]} number{n % 7} part{n}") for n in range(ITEMS)]
    choices = []
    for u in range(USERS):
        liked = rng.choice(np.arange(u % 2, ITEMS - NEW, 2), 8, replace=False)
        choices += [(f"u{u:02}", f"i{n:02}", 1.0) for n in liked]
    # One user has chosen nearly everything.
    choices += [("skewed", f"i{n:02}", 1.0) for n in range(ITEMS - NEW - 2)]
    return choices, texts


def write(folder, choices=None, texts=None):
    """Write rows as the tables that a job reads, in two files each, and return the folder."""
    for name, rows, columns in (("choices", choices, ["user", "item", "value"]), ("texts", texts, ["item", "text"])):
        if rows is not None:
            place = folder / name
            place.mkdir(parents=True)
            for part in (0, 1):
                pd.DataFrame(rows[part::2], columns=columns).to_parquet(place / f"{part}.parquet", index=False)
    return folder
