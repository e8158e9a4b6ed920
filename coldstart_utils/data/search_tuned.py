"""One more column for `ml-100k-search-ranks.tsv`: the encoder itself, its upper layers tuned by contrast.

    python -m coldstart_utils.data.search_tuned [--into FOLDER]

The last one or two layers that read a question learn from the generated questions to find their film among all others;
the layers below and the vectors of the films stay as they are. A question about a film of one half is read by what was
learnt on films of the other half. Layers, rate, epochs, and whether the mean with the vector of the encoder as it came
is taken, are those that serve the generated questions best. It prints what was tried, and takes some ten minutes of one
core; the questions of real people must be installed (`coldstart data install tomt`).
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from coldstart_utils.catalogue.dataset import Dataset
from coldstart_utils.catalogue.movielens import attach_expansion
from coldstart_utils.catalogue.questions import Questions, generated_questions, real_questions
from coldstart_utils.catalogue.recordings import keep
from coldstart_utils.catalogue.sources import load_dataset
from coldstart_utils.data.search_ranks import RANKS, TUNED_UPPER, read
from coldstart_utils.ground import ColdstartError
from coldstart_utils.language.encoders import TextEncoder, pool
from coldstart_utils.language.fields import engine, halves, usual_of_others
from coldstart_utils.language.search import centred
from coldstart_utils.measure import known_items
from coldstart_utils.models.content import unit_rows
from coldstart_utils.models.scores import mixture, rank_of

if TYPE_CHECKING:
    from torch.nn import Module

Array = np.ndarray

LAYERS, RATES, EPOCHS, BATCH, TEMPERATURE = (1, 2), (3e-5, 1e-4), 3, 16, 0.1


def below(texts: Sequence[str], encoder: TextEncoder, layers: int) -> list[Array]:
    """Return what the encoder has of each text below its last `layers`: one row a token [tokens, d]."""
    import torch

    cut = {"truncation": True, "max_length": encoder.max_tokens, "return_tensors": "pt"}
    found = []
    with torch.inference_mode():
        for text in texts:
            hidden = encoder.model(**encoder.tokenizer(text, **cut), output_hidden_states=True).hidden_states
            found.append(hidden[-1 - layers][0].numpy())
    return found


def batches(lengths: Sequence[int], rng: np.random.Generator | None = None) -> Iterator[Array]:
    """Yield the rows of texts of like lengths together, in the order of length, or with `rng` shuffled."""
    parts = np.array_split(np.argsort(lengths, kind="stable"), -(-len(lengths) // BATCH))
    order = range(len(parts)) if rng is None else rng.permutation(len(parts))
    yield from (parts[number] for number in order)


def above(upper: Module, hidden: Sequence[Array]) -> Any:
    """Return the vectors [texts, d] of length 1 that the `upper` layers make of what lies below them."""
    import torch

    longest = max(map(len, hidden))
    filled = torch.from_numpy(np.stack([np.pad(own, ((0, longest - len(own)), (0, 0))) for own in hidden]))
    mask = torch.from_numpy(np.arange(longest) < np.array([len(own) for own in hidden])[:, None])
    for layer in upper.children():
        out = layer(filled, attention_mask=mask[:, None, None])
        filled = out if torch.is_tensor(out) else out[0]
    return torch.nn.functional.normalize(pool(filled, mask, "mean"))


def read_by(upper: Module, hidden: Sequence[Array]) -> Array:
    """Return the same for all texts, batch by batch, float32 [texts, d]."""
    import torch

    found = np.empty((len(hidden), hidden[0].shape[1]), np.float32)
    with torch.inference_mode():
        for rows in batches([len(own) for own in hidden]):
            found[rows] = above(upper, [hidden[row] for row in rows]).numpy()
    return found


def tuned(upper: Module, hidden: Sequence[Array], right: Array, items: Array, rate: float) -> Iterator[Module]:
    """Yield the `upper` layers after each epoch of contrast: softmax of a question over all `items` [items, d].

    `right` [questions] are the items that are meant. All others are negatives, those of the batch among them. What all
    questions share, as the layers first read them, is taken off, as a search does.
    """
    import torch

    usual = torch.from_numpy(read_by(upper, hidden).mean(axis=0))
    known, meant = torch.from_numpy(items), torch.from_numpy(right)
    optimizer = torch.optim.AdamW(upper.parameters(), lr=rate)
    rng = np.random.default_rng(0)
    for _ in range(EPOCHS):
        for rows in batches([len(own) for own in hidden], rng):
            asked = torch.nn.functional.normalize(above(upper, [hidden[row] for row in rows]) - usual)
            loss = torch.nn.functional.cross_entropy(asked @ known.T / TEMPERATURE, meant[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        yield copy.deepcopy(upper)


def crossed(
    made: Sequence[Questions], asked: Sequence[Questions], encoder: TextEncoder, items: Array, side: Array
) -> pd.DataFrame:
    """Return what was tried: one row a setting, with the vectors `read` of all `asked`, one array [questions, d] each.

    `side` [items] is the half of each item; what reads a question has learnt from those `made` about the other one.
    """
    import torch

    rows: list[dict[str, Any]] = []
    texts, right = [text for one in made for text in one.texts], np.concatenate([one.right for one in made])
    lower = {
        layers: [below(part, encoder, layers) for part in (texts, *(one.texts for one in asked))] for layers in LAYERS
    }
    for layers, rate in product(LAYERS, RATES):
        learnt, *hidden = lower[layers]
        found = [[np.empty((len(one), items.shape[1]), np.float32) for one in asked] for _ in range(EPOCHS)]
        for half in (0, 1):
            torch.manual_seed(0)
            others = np.flatnonzero(side[right] != half)
            upper = torch.nn.Sequential(*copy.deepcopy(encoder.model.encoder.layer[-layers:])).train(False)
            fits = tuned(upper, [learnt[row] for row in others], right[others], items, rate)
            for vectors, fitted in zip(found, fits):
                for own, one, beneath in zip(vectors, asked, hidden):
                    mine = np.flatnonzero(side[one.right] == half)
                    own[mine] = read_by(fitted, [beneath[row] for row in mine])
        rows += [{"layers": layers, "rate": rate, "epochs": n + 1, "read": own} for n, own in enumerate(found)]
    return pd.DataFrame(rows)


def ranks(dataset: Dataset, asked: Sequence[Questions], made: Sequence[Questions], encoder: TextEncoder) -> list[Array]:
    """Return the ranks of the films that are meant, for each of `asked`, by the setting that serves the first best.

    The first of `asked` is generated, `made` is what is learnt from.
    """
    search, side = engine(dataset, encoder), halves(dataset.items["item_id"])
    fields, half = list(search.vectors.values()), [halves(one.table["query_id"]) for one in asked]
    plain = [encoder.encode(one.texts) for one in asked]
    words = [search.words.scores(one.texts) for one in asked]
    tried = crossed(made, asked, encoder, np.asarray(sum(fields), np.float32), side)
    best, chosen = -1.0, []
    for row, mixed in product(tried.itertuples(), (False, True)):
        vectors = [unit_rows(new + old) if mixed else new for new, old in zip(row.read, plain)]
        found = []
        for one, own, halved, by_words in zip(asked, vectors, half, words):
            meaning = centred(own, usual_of_others(own, halved))
            found.append(rank_of(mixture([by_words, *(meaning @ field.T for field in fields)]), one.right))
        worth = [known_items.value(own, "mrr").mean() for own in found]
        ten = [known_items.value(own, "first ten").mean() for own in found]
        told = f"{row.layers} layers, rate {row.rate:g}, {row.epochs} epochs{', mean with as it came' if mixed else ''}"
        print(told, *(f"{a:.4f} (first ten {b:.4f})" for a, b in zip(worth, ten)), sep="\t", flush=True)
        if worth[0] > best:
            best, chosen = worth[0], found
    return chosen


def record(into: Path) -> None:
    """Write the recorded table, with its column anew, into a folder."""
    films, encoder = attach_expansion(load_dataset("ml-100k")), TextEncoder()
    people, written = real_questions(films), generated_questions(films)
    if people is None:
        raise ColdstartError("the questions of people are not installed: run `coldstart data install tomt`")
    made = [written, generated_questions(films, "short")]
    table, found = read(), ranks(films, [written, people], made, encoder)
    rank = {(one.name, name): place for one, own in zip((written, people), found)
            for name, place in zip(one.table["query_id"], own)}  # fmt: skip
    table[TUNED_UPPER] = [rank[key] for key in zip(table["asked"], table["query_id"])]
    keep(table, into / RANKS, numbers="%.4g")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, default=Path(), help="where the table is written")
    record(parser.parse_args().into)
