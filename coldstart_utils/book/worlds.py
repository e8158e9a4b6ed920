"""Other worlds for a chapter: opened and encoded, and asked what is claimed, what a shop, news and people ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from ..catalogue.dataset import Dataset
from ..catalogue.features import as_text, item_texts, token_features
from ..catalogue.movielens import attach_expansion
from ..catalogue.sources import load_dataset
from ..catalogue.splits import cold_items
from ..catalogue.worlds import HINDSIGHT, at_first, friendships, open_world, sample, strengths, topics_given
from ..ground import ColdstartError
from ..language.context import tfidf, user_texts
from ..language.encoders import TextEncoder
from ..measure import claims, crossing, people, shop, study
from ..measure.claims import World
from ..models.content import block_kernels, content_kernel
from ..models.exploration import Explorer, audiences
from ..models.transfer import Neighbours, Transfer

CUSTOMERS = (2, 5, 10, 20)
TOPICS = 5  # in a list; there are about thirty
Place = str | Path


@dataclass(frozen=True)
class How:
    """How far a look goes: `folds` that run, `trials` a setting gets, and the most `items` and `users` of a world."""

    folds: int = 5
    trials: int = 4
    items: int = 2000
    users: int = 2000
    seed: int = 0


FULL = How()
NOTHING = pd.DataFrame(columns=["model", "fold", "metric", "value"])


def prepare(dataset: Dataset, encoder: TextEncoder) -> World:
    """Return a catalogue with what the claims need: vectors, kernels of title, text and columns, and of profiles."""
    text = encoder.encode(item_texts(dataset))
    blocks: dict[str, Any] = {"text vector": text}
    if "title" in dataset.items:
        titles = item_texts(dataset, ["title"])
        blocks |= {"title words": tfidf(titles), "title vector": encoder.encode(titles)}
    tokens = [name for name in ("genres", "year") if name in dataset.items]
    more = attach_expansion(dataset) if dataset.name == "ml-100k" else dataset
    written = [c for c in more.items.columns[1:] if c not in tokens and more.items[c].dtype != float]
    columns: dict[str, Any] = {c: encoder.encode(more.items[c].map(as_text).tolist()) for c in written}
    columns |= {name: token_features(dataset, [name]) for name in tokens}
    if more is not dataset:
        blocks["long text"] = encoder.encode(item_texts(more))
    said = profiles(dataset, encoder)
    alike = None if said is None else block_kernels({"profile": said})["profile"]
    return World(dataset.name, dataset.matrix(), text, block_kernels(blocks), block_kernels(columns), alike)


def profiles(dataset: Dataset, encoder: TextEncoder) -> np.ndarray | None:
    """Return features of users: a sentence read by the encoder, or, without age, gender or job, their attributes."""
    columns = [c for c in dataset.users.columns[1:] if c != "zip_code"]
    if not columns:
        return None
    if {"age", "gender", "occupation"} & set(columns):
        return encoder.encode(user_texts(dataset))
    return pd.get_dummies(dataset.users[columns].astype(str)).to_numpy(float)


# --- Looks at a world: each returns rows of model, fold, metric, value, or none where the world lacks what it asks ---


def measured(place: Place, encoder: TextEncoder, how: How = FULL) -> pd.DataFrame:
    """Return size and four numbers of a world (`claims.traits`)."""
    found = claims.traits(open_world(place), seed=how.seed)
    return pd.DataFrame({"model": "", "fold": 0, "metric": list(found), "value": list(found.values())})


def claimed(place: Place, encoder: TextEncoder, how: How = FULL) -> pd.DataFrame:
    """Return what `claims.ask` finds in a `sample` of a catalogue, of `how.items` and `how.users`."""
    world = prepare(sample(open_world(place), how.items, how.users, seed=how.seed), encoder)
    return claims.ask(world, folds=how.folds, trials=how.trials, seed=how.seed)


def shopped(place: Place, encoder: TextEncoder, how: How = FULL) -> pd.DataFrame:
    """Return how new products are ranked by text, price and baskets, with a variant known and without.

    Metrics that begin with 'latest' are of the temporal test: means, and differences to neighbours over customers.
    """
    whole = open_world(place)
    dataset = sample(whole, how.items, how.users, seed=how.seed)
    if "price" not in dataset.items or "timestamp" not in dataset.interactions:
        return NOTHING
    texts, X = item_texts(dataset), dataset.matrix()
    prices = shop.price_bands(dataset.items["price"].to_numpy(float))
    K = block_kernels({"text": encoder.encode(texts), "words": tfidf(texts), "price": prices})
    methods: dict[str, study.Method] = {
        "text": Transfer({"text": K["text"]}),
        "text and words": Transfer({name: K[name] for name in ("text", "words")}),
        "price": Transfer({"price": K["price"]}),
        "text and price": Transfer({name: K[name] for name in ("text", "price")}),
        "text, from baskets": shop.FromBaskets({"text": K["text"]}, shop.baskets(dataset)),
        "neighbours": Neighbours({"text": K["text"]}),
    }
    groups, rows = shop.variants(texts), []
    for fold in study.item_folds(X, 5, seed=how.seed)[: how.folds]:
        bands = shop.with_variant(groups, fold.outer)
        rows.append(study.run(methods, [fold], trials=how.trials, bands=bands))
    found = pd.concat(rows)
    parts = [claims.rows_of_folds(found, name) for name in ("ndcg", "recall variant known", "recall no variant")]
    parts += [_latest(X, dataset.matrix("timestamp"), methods, how), _first_customers(whole)]
    return pd.concat([part for part in parts if len(part)])


def _first_customers(dataset: Dataset) -> pd.DataFrame:
    try:
        table = shop.days_to_customers(dataset, CUSTOMERS).drop(columns="items")
    except ColdstartError:  # a record too short to see a product begin
        return NOTHING
    rows = table.assign(model=[f"{n} customers" for n in table["customers"]]).drop(columns="customers")
    return rows.melt("model", var_name="metric").assign(fold=0, metric=lambda found: "days " + found["metric"])


def _latest(
    X: sparse.csr_matrix, times: sparse.csr_matrix, methods: Mapping[str, study.Method], how: How
) -> pd.DataFrame:
    fold = study.temporal_fold(X, times, seed=how.seed)
    if fold is None:
        return pd.DataFrame()
    arms = {"everybody's list": study.Arm(people.everybody)} | {name: methods[name] for name in ("text", "neighbours")}
    table = study.compare(study.run(arms, [fold], trials=how.trials), "neighbours", unit="user")
    kept = table[["mean", "difference", "diff_low", "diff_high"]].rename_axis("model").reset_index()
    rows = kept.melt("model", var_name="metric").assign(fold=0)
    return rows.assign(metric="latest " + rows["metric"])


def explored(place: Place, encoder: TextEncoder, how: How = FULL) -> pd.DataFrame:
    """Return the share of new items that found three takers when everybody came once, by text, by trying, by both."""
    dataset = sample(open_world(place), how.items, how.users, seed=how.seed)
    K = content_kernel([encoder.encode(item_texts(dataset))])
    policies = {
        "at random": Explorer("greedy", 1.0, visits=1, seed=how.seed),
        "trying": Explorer("thompson", visits=1, seed=how.seed),
        "text": Explorer("greedy", K=K, visits=1, seed=how.seed),
        "text and trying": Explorer("thompson", K=K, visits=1, seed=how.seed),
    }
    splits = [fold.outer for fold in study.item_folds(dataset.matrix(), 5, seed=how.seed)[: how.folds]]
    found = audiences(policies, splits, 3)
    return found[found["dial"] == 1].rename(columns={"found": "value"}).assign(metric="found")


def befriended(place: Place, encoder: TextEncoder, how: How = FULL) -> pd.DataFrame:
    """Return the recall of friends, and of topics, for newcomers, by what is known of them."""
    if not Path(place).is_dir() or not any(Path(place).glob("*.net")):
        return NOTHING
    dataset, folder = open_world(place), Path(place)
    X, (topics, T) = strengths(folder, dataset, "listens"), topics_given(folder, dataset)
    said = people.most_given(topics, 3).reindex(range(dataset.n_users)).fillna("")
    known = {
        "a sentence": content_kernel([encoder.encode(said.tolist()) * (said != "").to_numpy()[:, None]]),
        "one choice": (people.first_choice(X) @ X.astype(bool).T).toarray(),
        "all choices": content_kernel([X.astype(bool).astype(float)]),
    }
    new = people.friend_folds(friendships(folder, dataset), seed=how.seed)[: how.folds]
    friends = study.run(people.friend_methods(known), new, trials=how.trials, metric="recall")
    asked = study.user_folds(T, 5, k=1, seed=how.seed, least=2)[: how.folds]
    found = study.run(people.topic_methods(known), asked, trials=how.trials, metric="recall")
    parts = {"recall friends": friends, "recall topics": found}
    return pd.concat([claims.rows_of_folds(rows, "recall").assign(metric=name) for name, rows in parts.items()])


def grouped(place: Place, encoder: TextEncoder, how: How = FULL) -> pd.DataFrame:
    """Return the recall of other topics, five a list, for newcomers of whom one topic is known, or a group about it.

    Topics are the categories of the groups that somebody chose; nothing where items have none or users only one.
    """
    dataset = open_world(place)
    if "genres" not in dataset.items or "title" not in dataset.items:
        return NOTHING
    topics = token_features(dataset, ["genres"])
    X = strengths(Path(place), dataset, "events") if Path(place).is_dir() else dataset.matrix()
    T = sparse.csr_matrix((X @ topics).astype(bool).astype(float))
    if (np.diff(T.indptr) > 1).sum() < 10:
        return NOTHING
    K = content_kernel([encoder.encode(item_texts(dataset, ["title"]))])
    asked = study.user_folds(T, 5, k=1, seed=how.seed, least=2)[: how.folds]
    found = study.run(people.group_methods(X, topics, K), asked, trials=how.trials, metric="recall", k=TOPICS)
    return claims.rows_of_folds(found, "recall").assign(metric="recall topics")


def crossed(place: Place, encoder: TextEncoder, how: How = FULL) -> pd.DataFrame:
    """Return how new items are ranked by a bridge learnt on MovieLens-1M, without the films that both have.

    The rivals are untrained text, and neighbours and a bridge of the world itself. Metric 'films' counts the source's.
    """
    try:
        whole = load_dataset("ml-1m")
    except ColdstartError:  # not installed
        return NOTHING
    source = sample(whole, 2 * how.items, how.users, seed=how.seed)
    target = sample(open_world(place), how.items, how.users, seed=how.seed)
    own = crossing.not_shared(source, target)
    X = source.matrix()[:, own]
    touched = np.flatnonzero(np.diff(X.tocsc().indptr))
    learnt, asked = encoder.encode(item_texts(source))[own[touched]], encoder.encode(item_texts(target))
    # The two catalogues stand one after the other: rows, not ids, say which is which.
    here, there = np.split(np.arange(len(learnt) + len(asked)), [len(learnt)])
    carried = crossing.Carried(content_kernel([np.vstack([learnt, asked])]), here)
    # All settings are chosen on new films of the source: nobody of the target is asked.
    chosen = study.tune(carried, [cold_items(X[:, touched], how.seed)], trials=2 * how.trials)
    V = carried.factors(X[:, touched], here, there, chosen["reg"])
    brought = partial(crossing.by_carried, V=V, pull=chosen["pull"], alpha=chosen["alpha"])
    kernel = {"text": content_kernel([asked])}
    methods: dict[str, study.Method] = {
        "text, untrained": study.Arm(partial(claims.untrained_text, vectors=asked - asked.mean(axis=0))),
        "bridge learnt elsewhere": study.Arm(brought),
        "neighbours": Neighbours(kernel),
        "bridge learnt here": Transfer(kernel),
    }
    found = study.run(methods, study.item_folds(target.matrix(), 5, seed=how.seed)[: how.folds], trials=how.trials)
    films = pd.DataFrame([{"model": "bridge learnt elsewhere", "fold": 0, "metric": "films", "value": len(here)}])
    return pd.concat([claims.rows_of_folds(found, "ndcg"), films])


def looked_back(place: Place, encoder: TextEncoder, how: How = FULL) -> pd.DataFrame:
    """Return how new items are ranked with and without what their own audience wrote about them (`HINDSIGHT`)."""
    whole = load_dataset(place)
    if not set(HINDSIGHT.get(whole.name, ())) & set(whole.items):
        return NOTHING
    part = sample(whole, how.items, how.users, seed=how.seed)
    texts = {"with hindsight": part, "without": at_first(part)}
    kernels = {name: content_kernel([encoder.encode(item_texts(data))]) for name, data in texts.items()}
    methods = {name: Transfer({"text": K}) for name, K in kernels.items()}
    folds = study.item_folds(part.matrix(), 5, seed=how.seed)[: how.folds]
    return claims.rows_of_folds(study.run(methods, folds, trials=how.trials), "ndcg")


LOOKS: dict[str, Callable[..., pd.DataFrame]] = {
    "traits": measured,
    "claims": claimed,
    "shop": shopped,
    "news": explored,
    "people": befriended,
    "groups": grouped,
    "crossing": crossed,
    "hindsight": looked_back,
}
# Who is asked: None is everybody.
ASKED: dict[str, Sequence[str] | None] = {
    "traits": None,
    "claims": None,
    "shop": ("online-retail",),
    "news": ("mind-2000", "ml-100k"),
    "people": ("lastfm-2k",),
    "groups": ("nashville-meetup",),
    "crossing": ("ml-100k",),
    "hindsight": tuple(HINDSIGHT),
}


def gathered(
    look: str, worlds: Mapping[str, Place], encoder: TextEncoder, recorded: pd.DataFrame, how: How = FULL
) -> pd.DataFrame:
    """Return the rows of a look: measured `here` in each of the `worlds` (name → place), `recorded` in all others.

    Columns world, model, fold, metric, value and `here`.
    """
    asked, parts = ASKED[look], []
    for name, place in worlds.items():
        if asked is None or name in asked:
            parts.append(LOOKS[look](place, encoder, how).assign(world=name, here=True))
    known = {part["world"].iloc[0] for part in parts if len(part)}
    there = recorded[(recorded["look"] == look) & ~recorded["world"].isin(known)].drop(columns="look")
    return pd.concat([part for part in (*parts, there.assign(here=False)) if len(part)], ignore_index=True)
