"""What wrote `ml-100k-search-ranks.tsv`: where each method put what people, and a language model, asked for.

    python -m coldstart_utils.data.search_ranks [--into FOLDER]

It needs the questions of real people (`coldstart data install tomt`). The table holds ids and ranks, no text. Chapter
11 computes the ranks of people's questions anew where they are installed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from coldstart_utils.catalogue.dataset import Dataset
from coldstart_utils.catalogue.features import item_texts
from coldstart_utils.catalogue.movielens import attach_expansion
from coldstart_utils.catalogue.questions import (
    TOMT,
    Questions,
    generated_questions,
    real_questions,
)
from coldstart_utils.catalogue.recordings import keep
from coldstart_utils.catalogue.sources import load_dataset
from coldstart_utils.ground import ColdstartError, package_file
from coldstart_utils.language.encoders import TextEncoder
from coldstart_utils.language.facts import words
from coldstart_utils.language.fields import (
    Engine,
    by_level,
    engine,
    exact_asks,
    fields,
    halves,
    levels,
    together,
    usual_of_others,
)
from coldstart_utils.language.search import WordIndex, centred, late_interaction, token_vectors
from coldstart_utils.measure import known_items
from coldstart_utils.models.content import unit_rows
from coldstart_utils.models.scores import mixture, rank_of, top_k

RANKS = "ml-100k-search-ranks.tsv"
LIKE_IT = "+ questions like it"
# What takes minutes: recorded, and not computed anew by the chapter.
LATE, TUNED = "+ late interaction", "queries tuned by contrast"
TUNED_UPPER = "upper layers tuned by contrast"  # by `search_tuned.py`
PENALTIES = (0.03, 0.1, 0.3, 1.0)
FACTS = ("asked", "query_id", "item_id", "half", "words", "shared")
Array = np.ndarray


def ranks_of(dataset: Dataset, asked: Questions, encoder: TextEncoder) -> pd.DataFrame:
    """Return for each question `FACTS` and the rank of its item by every method.

    `words` is the length of the question, `shared` the share of its stems that stand in the text of its item.
    """
    half, clicks = halves(asked.table["query_id"]), np.bincount(dataset.interactions["item"], minlength=dataset.n_items)
    scores = by_level(levels(dataset), asked.texts, encoder)
    scores |= together(dataset, asked.texts, half, asked.right, encoder, clicks)
    if dataset.name == "ml-100k":
        scores[LIKE_IT] = like_it(dataset, asked, generated_questions(dataset), half, encoder)
    ranks = known_items.best_ranks(scores, asked.relevant)
    told = {
        "asked": asked.name,
        "query_id": asked.table["query_id"],
        "item_id": dataset.items["item_id"].to_numpy()[asked.right],
        "half": half,
        "words": [len(words(text)) for text in asked.texts],
        "shared": np.round(shared_stems(asked.texts, item_texts(dataset), asked.right), 3),
    }
    return pd.concat([pd.DataFrame(told), ranks], axis=1)


def like_it(dataset: Dataset, asked: Questions, others: Questions, half: Array, encoder: TextEncoder) -> Array:
    """Return the scores [questions, items] with each question moved half-way towards the three most similar `others`.

    Those about the same item are left out: they would tell the answer.
    """
    search, vectors, known = engine(dataset, encoder), encoder.encode(asked.texts), encoder.encode(others.texts)
    own, written = centred(vectors, usual_of_others(vectors, half)), centred(known, known.mean(axis=0))
    alike = own @ written.T
    alike[asked.right[:, None] == others.right] = -np.inf
    moved = own + 0.5 * written[top_k(alike, 3)].mean(axis=1)
    words_alone = search.words.scores(asked.texts)
    return mixture([words_alone, *(moved @ field.T for field in search.vectors.values())])


def slowly(dataset: Dataset, asked: Questions, encoder: TextEncoder) -> dict[str, Array]:
    """Return the scores [questions, items] of late interaction, and of queries tuned on generated questions."""
    search, vectors, half = engine(dataset, encoder), encoder.encode(asked.texts), halves(asked.table["query_id"])
    parts = search.parts(asked.texts, usual_of_others(vectors, half))
    texts = [" ".join(own) for own in zip(*fields(dataset).values())]
    late = late_interaction(token_vectors(asked.texts, encoder), token_vectors(texts, encoder))
    own = centred(vectors, usual_of_others(vectors, half))
    tuned = tuned_by_contrast(dataset, own, asked.right, search, encoder)
    return {
        LATE: mixture([*parts.values(), late]),
        TUNED: mixture([parts["words"], *(tuned @ field.T for field in search.vectors.values())]),
    }


def tuned_by_contrast(dataset: Dataset, own: Array, right: Array, search: Engine, encoder: TextEncoder) -> Array:
    """Return the question vectors `own` [questions, d] after a linear map learnt on the generated questions.

    A question about an item (`right`) of one half is mapped by what was learnt on questions about items of the other
    half. The penalty is the one that serves the generated questions best, by their reciprocal rank.
    """
    made = [generated_questions(dataset, style) for style in ("long", "short")]
    vectors = [encoder.encode(questions.texts) for questions in made]
    known = np.concatenate([centred(own, own.mean(axis=0)) for own in vectors])
    meant, side = np.concatenate([questions.right for questions in made]), halves(dataset.items["item_id"])
    items = sum(search.vectors.values())

    def mapped(asked: Array, about: Array, penalty: float) -> Array:
        learn = {h: query_map(known[side[meant] != h], meant[side[meant] != h], items, penalty) for h in (0, 1)}
        return np.stack([unit_rows((q + q @ learn[side[item]])[None])[0] for q, item in zip(asked, about)])

    worth = {}
    for penalty in PENALTIES:
        ranks = rank_of(mapped(known, meant, penalty) @ items.T, meant)
        worth[penalty] = known_items.value(ranks, "mrr").mean()
        print(f"penalty {penalty}: {worth[penalty]:.4f} of generated questions", flush=True)
    return mapped(own, right, max(worth, key=worth.get))


def query_map(asked: Array, right: Array, items: Array, penalty: float, *, steps: int = 25) -> Array:
    """Return M [d, d] so that q + qM is nearer to the right item than to all others, by softmax at temperature 0.1.

    `asked` [questions, d], `items` [items, d]; `penalty` weighs the squares of M.
    """
    import torch

    q, known, wanted = torch.from_numpy(asked), torch.from_numpy(items), torch.from_numpy(right)
    M = torch.zeros(q.shape[1], q.shape[1], requires_grad=True)
    optimizer = torch.optim.Adam([M], lr=1e-3)
    for _ in range(steps):
        moved = torch.nn.functional.normalize(q + q @ M)
        loss = torch.nn.functional.cross_entropy(moved @ known.T / 0.1, wanted) + penalty * (M**2).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return M.detach().numpy()


def shared_stems(questions: Sequence[str], texts: Sequence[str], right: Array) -> Array:
    """Return the share of the different stems of each question that stand in the text of its item, stop words aside."""
    asked, known = WordIndex.stems(questions), WordIndex.stems(texts)
    return np.array([len({*own} & {*known[item]}) / max(len({*own}), 1) for own, item in zip(asked, right)])


def of_people(dataset: Dataset, encoder: TextEncoder, *, anew: bool) -> pd.DataFrame | None:
    """Return the ranks for the questions of people about ml-100k: those recorded, or with `anew` computed again where
    the questions are installed, but for what takes minutes. None for another catalogue.
    """
    if dataset.name != "ml-100k":
        return None
    recorded = read()
    recorded = recorded[recorded["asked"] == TOMT].reset_index(drop=True)
    people = real_questions(dataset) if anew else None
    if people is None:
        return recorded
    computed = ranks_of(dataset, people, encoder)
    slow = [name for name in recorded if name not in computed]
    return computed.merge(recorded[["query_id", *slow]], how="left", on="query_id")


def exact(dataset: Dataset, search: Engine, most: int) -> dict[str, pd.DataFrame]:
    """Return the rank of the right item for each kind of `fields.exact_asks`, by words, by one vector and by both."""
    known = search.encoder.encode(item_texts(dataset))
    found = {}
    for kind, (asked, right) in exact_asks(dataset, most).items():
        by_word, by_vector = search.words.scores(asked), search.encoder.encode(asked) @ known.T
        both = mixture([by_word, by_vector])
        scores = {"words": by_word, "one vector": by_vector, "words + one vector": both}
        found[kind] = known_items.best_ranks(scores, right)
    return found


def methods(ranks: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that hold ranks, without `FACTS`."""
    return ranks.drop(columns=list(FACTS))


def read() -> pd.DataFrame:
    """Return the recorded ranks: `FACTS` and one column a method, first the questions of people, then the generated."""
    return pd.read_csv(package_file(RANKS), sep="\t", dtype={"query_id": str, "item_id": str})


def record(into: Path) -> None:
    """Write the table into a folder, with the column of `search_tuned.py` as it was recorded.

    Raises ColdstartError where the questions of people are not installed.
    """
    films, encoder = attach_expansion(load_dataset("ml-100k")), TextEncoder()
    people, made = real_questions(films), generated_questions(films)
    if people is None:
        raise ColdstartError("the questions of people are not installed: run `coldstart data install tomt`")
    tables = []
    for asked in (people, made):
        slow = known_items.best_ranks(slowly(films, asked, encoder), asked.relevant)
        tables.append(pd.concat([ranks_of(films, asked, encoder), slow], axis=1))
    key, earlier = ["asked", "query_id"], read()
    table = pd.concat(tables).merge(earlier[[*key, *earlier.columns.intersection([TUNED_UPPER])]], how="left", on=key)
    keep(table, into / RANKS, numbers="%.4g")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, default=Path(), help="where the table is written")
    record(parser.parse_args().into)
