"""Findings of the series that can be asked of any catalogue: which methods meet, on which folds, by which measure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
from scipy import sparse, stats

from ..catalogue.dataset import Dataset
from ..catalogue.features import item_texts
from ..catalogue.splits import Split, warm
from ..ground import ColdstartError
from ..models import k_shot
from ..models.content import bridge
from ..models.evidence import empirical_prior
from ..models.longtail import bands_of, reranked
from ..models.transfer import Neighbours, Transfer, teacher_scores
from . import ranking, study
from .intervals import holm
from .phrases import told

Array = np.ndarray
PLACES = 4
MOST_ASKED = 2000  # users whose hidden choices say how much is fame


@dataclass(frozen=True)
class Claim:
    """A finding: the `chapter` that made it, what it `said`, the model that leads by it and its `rival`."""

    chapter: str
    said: str
    ours: str
    rival: str
    metric: str = "ndcg"


CLAIMS = {
    "centring": Claim("01", "centring lifts untrained text", "zero-shot, centred", "zero-shot, as it comes"),
    "title": Claim("02", "a title: the model beats TF-IDF", "title, model", "title, TF-IDF"),
    "blocks": Claim("05", "columns as blocks beat one text", "columns as blocks", "columns as one text"),
    "bridge": Claim("02", "the bridge beats neighbours", "one text", "one text, neighbours"),
    "ceiling": Claim("02", "oracle popularity beats content", "oracle popularity", "one text"),
    "one choice": Claim("02", "one choice beats a profile*", "one choice", "profile", "recall"),
    "posterior": Claim("07", "posterior beats its better part", "posterior", "its better part", "recall"),
    "tail": Claim("06", "reserved places raise the tail's recall", "places for rare items", "no places", "recall tail"),
}


@dataclass(frozen=True, eq=False)
class World:
    """What the claims need of a catalogue: choices `X` [users, items] and what is known beforehand.

    `text` [items, d] are the vectors of all text, `kernels` (title words, title vector, text vector; [items, items])
    and `columns` (one kernel a column) say who is alike. Where the columns hold more than the text does, 'long text' is
    the kernel of all of them as one text. `people` [users, users] is the kernel of profiles, if there are any.
    """

    name: str
    X: sparse.csr_matrix
    text: Array
    kernels: Mapping[str, Array]
    columns: Mapping[str, Array]
    people: Array | None = None


def untrained_text(split: Split, vectors: Array) -> ranking.Scorer:
    """Return the scorer that trains nothing: the mean vector of a user's items times that of an item [items, d]."""
    return ranking.from_factors(split.train @ vectors, vectors)


def item_methods(world: World) -> dict[str, study.Method]:
    """Return the methods that rank new items, by name; without data for it, one is left out.

    Bridges carry EASE; each tunes its penalty. 'oracle popularity' counts the hidden choices.
    """
    Z, known = world.text, world.kernels
    methods: dict[str, study.Method] = {
        "zero-shot, as it comes": study.Arm(partial(untrained_text, vectors=Z)),
        "zero-shot, centred": study.Arm(partial(untrained_text, vectors=Z - Z.mean(axis=0))),
        "oracle popularity": study.Arm(ranking.oracle_popularity),
        "one text": Transfer({"text vector": known["text vector"]}),
        "one text, neighbours": Neighbours({"text vector": known["text vector"]}),
    }
    if {"title words", "title vector"} <= set(known):
        methods["title, TF-IDF"] = Transfer({"title words": known["title words"]})
        methods["title, model"] = Transfer({"title vector": known["title vector"]})
    if len(world.columns) > 1:
        methods["columns as blocks"] = Transfer(world.columns)
        if "long text" in known:
            methods["columns as one text"] = Transfer({"long text": known["long text"]})
    return methods


def ridge_from_profile(split: Split, people: Array | None, reg: float = 1.0) -> ranking.Scorer:
    """Return the scorer of new users by ridge from their profiles to choices; without `people`, everybody's list."""
    if people is None:
        return ranking.from_items(np.asarray(split.train.sum(axis=0)).ravel())
    old = np.flatnonzero(np.diff(split.train.indptr))
    return lambda users, items: bridge(people, split.train[old][:, items].toarray(), old, users, reg)


def average_user(split: Split, least: int) -> tuple[Array, Array]:
    """Return what is believed of a new user beforehand: means [users, rank] and one covariance [rank, rank].

    They are those of the known users with at least so many choices (`empirical_prior`).
    """
    known = k_shot.sides(split, least=least)
    return empirical_prior(known.own, known.old)


def user_methods(world: World, k: int, least: int) -> dict[str, study.Method]:
    """Return the methods that rank for new users who reveal `k` choices, by name."""
    prior = partial(average_user, least=least)
    knobs = {"reg": 10.0} if world.people is not None else {}
    return {
        "profile": study.Arm(partial(ridge_from_profile, people=world.people), knobs),
        "one choice": study.Arm(partial(k_shot.by_ratings, k=1), {"reg": 30.0, "alpha": 10.0}),
        "guess alone": study.Arm(partial(k_shot.by_prior, prior=prior)),
        "choices alone": study.Arm(partial(k_shot.by_ratings, k=k), {"reg": 30.0, "alpha": 10.0}),
        "posterior": study.Arm(partial(k_shot.by_both, k=k, prior=prior), {"noise": 0.1, "silence": 0.03}),
    }


def tail_methods(places: int, k: int) -> dict[str, study.Method]:
    """Return ALS on known items as it is, and with `places` of each list of `k` kept for the rare items."""

    def fit(split: Split, kept: int) -> ranking.Scorer:
        scores = np.zeros(split.train.shape, np.float32)
        scores[:, split.warm_items] = teacher_scores(split, "ALS")
        return ranking.from_matrix(reranked(split, scores, kept, k, each=True))

    return {"places for rare items": study.Arm(partial(fit, kept=places)), "no places": study.Arm(partial(fit, kept=0))}


def ask(world: World, *, folds: int = 5, trials: int = 4, k: int = 20, seed: int = 0) -> pd.DataFrame:
    """Return what every method of the claims reaches in a world: world, model, fold, metric, value (mean over users).

    Each item, user or choice is hidden once in five folds, of which the first `folds` run. What the catalogue has no
    data for is left out. Settings are tuned on nested splits, with as many `trials` for each.
    """
    run = partial(study.run, trials=trials, k=k)
    found = run(item_methods(world), study.item_folds(world.X, 5, seed=seed)[:folds])
    if "long text" not in world.kernels:
        found = pd.concat([found, found[found["model"] == "one text"].assign(model="columns as one text")])
    rows = [found]
    reach, least = k_shot.within_reach(np.diff(world.X.indptr), (1, 5), needed=False)
    if reach:
        methods = user_methods(world, max(reach), least)
        new = study.user_folds(world.X, 5, k=max(reach), seed=seed, least=least)[:folds]
        rows.append(run(methods, new, metric="recall"))
    parts = [rows_of_folds(found, metric) for found in rows for metric in ("ndcg", "recall")]
    parts.append(_tail(world.X, folds, k, seed))
    return pd.concat(parts, ignore_index=True).assign(world=world.name)


def _tail(X: sparse.csr_matrix, folds: int, k: int, seed: int) -> pd.DataFrame:
    try:
        rounds = [(fold, bands_of(fold.outer)) for fold in study.choice_folds(X, 5, seed=seed)[:folds]]
    except ColdstartError:  # too few choices to hide some, or too few items for a head, a middle and a tail
        return pd.DataFrame(columns=["model", "fold", "metric", "value"])
    found = []
    for fold, bands in rounds:
        length = min(k, len(fold.outer.candidates))
        methods = tail_methods(min(PLACES, len(bands["tail"]), length), length)
        found.append(study.run(methods, [fold], k=length, bands=bands))
    return pd.concat([rows_of_folds(pd.concat(found), metric) for metric in ("recall tail", "ndcg")])


def rows_of_folds(results: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the mean of `metric` over the users of each fold: model, fold, metric, value."""
    means = results.groupby(["model", "fold"], sort=False)[metric].mean()
    return means.rename("value").reset_index().assign(metric=metric)


def traits(dataset: Dataset, *, seed: int = 0) -> dict[str, float]:
    """Return size and four numbers of a catalogue that its owner can measure before any model.

    `choices an item` (mean over items chosen at all), `words an item` (median), `rare`, the share of items with fewer
    than five choices, and `fame`: the recall@20 of one list for everybody, the most chosen, on a hidden fifth.
    """
    X = dataset.matrix()
    counts = np.diff(X.tocsc().indptr)
    words = [len(text.split()) for text in item_texts(dataset)]
    split = warm(X, seed)
    users = np.random.default_rng(seed).permutation(split.users)[:MOST_ASKED]
    fame = ranking.evaluate({"": ranking.from_items(split.item_counts)}, replace(split, users=np.sort(users)))
    return {
        "users": float(np.count_nonzero(np.diff(X.indptr))),
        "items": float(len(counts)),
        "choices": float(X.nnz),
        "choices an item": float(counts[counts > 0].mean()),
        "words an item": float(np.median(words)),
        "rare": float(np.mean(counts < 5)),
        "fame": float(fame["recall"].mean()),
    }


def answers(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each claim and world: claim, world, both means, difference, interval, `better`, `worse`.

    Over folds, with Nadeau and Bengio's correction (`study.compare`); Holm's correction over the worlds of a claim. The
    rival of 'posterior' is the part with the higher mean, chosen in hindsight, which is hard on the posterior.
    """
    tables = []
    for name, claim in CLAIMS.items():
        found = [_one(part, world, name, claim) for world, part in rows.groupby("world", sort=False)]
        if found := [one for one in found if one is not None]:
            tables.append(study.answered(pd.DataFrame(found)))
    table = pd.concat(tables, ignore_index=True)
    return table.assign(told=[told(row.difference, row.diff_low, row.diff_high) for row in table.itertuples()])


def _one(rows: pd.DataFrame, world: str, name: str, claim: Claim) -> pd.Series | None:
    rows = rows[rows["metric"] == claim.metric].rename(columns={"value": claim.metric})
    rival = claim.rival
    if name == "posterior":
        parts = rows[rows["model"].isin(["guess alone", "choices alone"])]
        if parts.empty:
            return None
        rival = parts.groupby("model")[claim.metric].mean().idxmax()
    both = rows[rows["model"].isin([claim.ours, rival])]
    if both["model"].nunique() < 2:
        return None
    row = study.compare(both, rival, metric=claim.metric).loc[claim.ours]
    against = both.loc[both["model"] == rival, claim.metric].mean()
    return pd.concat([row, pd.Series({"claim": name, "world": world, "rival": against})])


# --- What the numbers of a world say beforehand ----------------------------------------------------------------------

# Which number should tell how a claim will do.
HINTS = {"choices an item": "bridge", "words an item": "title", "rare": "posterior", "fame": "ceiling"}


def halves(table: pd.DataFrame, traits: pd.DataFrame) -> pd.DataFrame:
    """Return for each of `HINTS` the mean difference in worlds below and above the median of the number, and ranks.

    `table` is that of `answers`, `traits` has worlds down. Columns number, claim, median, below, above (means), `shown
    below`, `shown above` (of how many), `correlation` (Spearman's, over `worlds`), and its `p` after Holm's correction
    over the rows.
    """
    rows = []
    for number, name in HINTS.items():
        part = table[table["claim"] == name].set_index("world")
        part = part[part.index.isin(traits.index)]
        if len(part) < 3:
            continue
        values = traits.loc[part.index, number]
        low = (values < values.median()).to_numpy()
        sides = {"below": part[low], "above": part[~low]}
        told_of = {f"shown {side}": f"{int(half['better'].sum())} of {len(half)}" for side, half in sides.items()}
        means = {side: half["difference"].mean() for side, half in sides.items()}
        # Equal numbers in all worlds have no ranks.
        varied = values.nunique() > 1 and part["difference"].nunique() > 1
        correlation, p = stats.spearmanr(values, part["difference"]) if varied else (0.0, 1.0)
        rows.append({"number": number, "claim": name, "median": values.median(), **means, **told_of,
                     "correlation": correlation, "p": p, "worlds": len(part)})  # fmt: skip
    table = pd.DataFrame(rows)
    return table.assign(p=holm(table["p"].to_numpy())) if rows else table


def nearest(traits: pd.DataFrame, own: Mapping[str, float], n: int = 3) -> list[str]:
    """Return the `n` worlds whose four numbers lie nearest to `own`, nearest first.

    The distance is Euclidean after each number (of choices and words its logarithm) is divided by its spread over the
    worlds.
    """
    columns = list(HINTS)
    both = pd.concat([traits[columns], pd.DataFrame([own])[columns]]).astype(float)
    for name in ("choices an item", "words an item"):
        both[name] = np.log(both[name].clip(lower=0.5))
    scaled = both / both.iloc[:-1].std().replace(0, 1).fillna(1)
    distance = ((scaled.iloc[:-1] - scaled.iloc[-1]) ** 2).sum(axis=1)
    return distance.sort_values(kind="stable").index[:n].tolist()
