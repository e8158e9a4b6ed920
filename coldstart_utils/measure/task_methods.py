"""What scores the query of a new user, from nothing at all to a posterior with text, for the rounds of `tasks`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

import numpy as np
import pandas as pd
from scipy import linalg, sparse

from ..models.als import Factors, als_explicit, damped_biases
from ..models.evidence import posterior
from ..models.least_squares import ridge
from .study import Setting, pattern_search
from .tasks import First, Round, Tasks, as_clicks, as_published, everybody, graded

Array = np.ndarray
RANK, DIRECTIONS = 8, 128


@dataclass(frozen=True, eq=False)
class Known:
    """What labels of known users say: `factors` of explicit ALS, and the effect of each item that its content foretells
    (`guesses`, content → [items]). `features` are that content itself, content → [items, directions].
    """

    train: sparse.csr_matrix
    factors: Factors
    features: Mapping[str, Array]
    guesses: Mapping[str, Array]


@dataclass(frozen=True)
class TaskMethod:
    """A method that scores the query of new users [n, asked]; `knobs` are what is tuned and where the search starts."""

    scores: Callable[..., Array]
    knobs: Mapping[str, float] = field(default_factory=dict)


def directions(K: Array, most: int = DIRECTIONS) -> Array:
    """Return the features Z [items, most] whose products come nearest to the kernel K [items, items], centred first.

    The mean squared length of a row is 1.
    """
    inside = K - K.mean(axis=0) - K.mean(axis=1, keepdims=True) + K.mean()
    size = min(most, len(K))
    values, vectors = linalg.eigh(inside.astype(float), subset_by_index=[len(K) - size, len(K) - 1])
    Z = vectors * np.sqrt(np.maximum(values, 0))
    return Z / (np.sqrt((Z**2).sum(axis=1).mean()) or 1.0)


def learn(train: sparse.csr_matrix, features: Mapping[str, Array]) -> Known:
    """Return what is `Known` from the labels `train` [all users, items], each content's guess by ridge among them."""
    factors = als_explicit(train, rank=min(RANK, *train.shape), reg=0.1)
    seen = np.flatnonzero(np.bincount(train.indices, minlength=train.shape[1]))
    bias = factors.item_bias
    guesses = {name: Z @ ridge(Z[seen], bias[seen, None], 10.0)[:, 0] for name, Z in features.items()}
    return Known(train, factors, features, guesses)


def by_constant(known: Known, tasks: Tasks) -> Array:
    """Return the same score for every item [n, asked]: what is measured then is the rule for ties."""
    return np.zeros(tasks.items.shape)


def by_chance(known: Known, tasks: Tasks) -> Array:
    """Return random scores [n, asked]."""
    return np.random.default_rng(len(known.train.data)).random(tasks.items.shape)


def by_item_mean(known: Known, tasks: Tasks) -> Array:
    """Return the mean label of each item less that of all [n, asked], without damping; 0 where it has none."""
    count, total = _counted(known.train, known.train.data - known.factors.mean)
    return (total / np.maximum(count, 1))[tasks.items]


def by_damped_bias(known: Known, tasks: Tasks, damping: float) -> Array:
    """Return the bias of each item [n, asked], damped as if by so many average labels."""
    return damped_biases(known.train, damping)[2][tasks.items]


def by_posterior(
    known: Known, tasks: Tasks, noise: float, damping: float, content: str | None = None, taste: float = 0.0
) -> Array:
    """Return the effect of each item plus what the support says of the user's taste [n, asked] (`evidence.posterior`).

    An effect is a mean label in which the guess from `content` counts as `damping` labels (a guess of 0 without it).
    Taste is a vector with the prior of the known users: a bias, factors and, if there is content, its directions, with
    a weight of variance `taste`.
    """
    own, factors = known.train, known.factors
    rows = np.repeat(np.arange(own.shape[0]), np.diff(own.indptr))
    count, total = _counted(own, own.data - factors.mean - factors.user_bias[rows])
    guess = known.guesses[content] if content else np.zeros(len(count))
    effect = (total + damping * guess) / (count + damping)
    people = np.flatnonzero(np.diff(own.indptr))
    belief = np.c_[factors.user_bias, factors.U][people]
    C = np.cov(belief.T) + 1e-6 * np.eye(belief.shape[1])
    V = np.c_[np.ones(len(count)), factors.V]
    if content:
        Z = known.features[content]
        V, C = np.c_[V, Z], linalg.block_diag(C, taste * np.eye(Z.shape[1]))
    support = tasks.support[tasks.users]
    surprise = support.data - factors.mean - effect[support.indices]
    answers = sparse.csr_matrix((surprise, support.indices, support.indptr), shape=support.shape)
    m = np.zeros((len(tasks.users), V.shape[1]))
    m[:, : belief.shape[1]] = belief.mean(axis=0)
    taste_of = posterior(answers, V, m, C, noise=noise)
    return effect[tasks.items] + np.einsum("nd,nqd->nq", taste_of, V[tasks.items])


def contenders(contents: Iterable[str], spread: float) -> dict[str, TaskMethod]:
    """Return the methods by name, from chance to a posterior with each of the `contents`.

    `spread` is the variance of a label: the search for noise starts there.
    """
    start = {"noise": spread / 2, "damping": 5.0}
    found = {
        "chance": TaskMethod(by_chance),
        "a constant": TaskMethod(by_constant),
        "item means": TaskMethod(by_item_mean),
        "damped biases": TaskMethod(by_damped_bias, {"damping": 5.0}),
        "posterior": TaskMethod(by_posterior, start),
    }
    for content in contents:
        fit = partial(by_posterior, content=content)
        found[f"posterior with {content}"] = TaskMethod(fit, start | {"taste": spread / 5})
    return found


def run_round(
    one: Round, methods: Mapping[str, TaskMethod], features: Mapping[str, Array], first: First, *,
    clicks: bool, trials: int = 6,
) -> pd.DataFrame:  # fmt: skip
    """Return the rows of `graded` for each method and tested user, with columns `model`, `user` and `setting`.

    Each method with knobs is tuned by as many `trials` on the validation users (mean ndcg).
    """
    known, rows = learn(one.train, features), []
    for name, method in methods.items():

        def value(setting: Setting, method: TaskMethod = method) -> float:
            scores = method.scores(known, one.valid, **setting)
            return float(graded(scores, one.valid.labels, first, clicks=clicks)["ndcg"].mean())

        setting = pattern_search(value, method.knobs, trials) if method.knobs else {}
        found = graded(method.scores(known, one.test, **setting), one.test.labels, first, clicks=clicks)
        told = ", ".join(f"{knob} {number:.3g}" for knob, number in setting.items())
        rows.append(found.assign(model=name, user=one.test.users, setting=told))
    return pd.concat(rows, ignore_index=True)


def run_modes(
    R: sparse.csr_matrix, features: Mapping[str, Array], first: First, seeds: Iterable[int], *, rounds: int = 10,
    trials: int = 6,
) -> pd.DataFrame:  # fmt: skip
    """Return the rows of `run_round` for both modes ('rating', 'click') and each seed, with columns `mode`, `split`.

    Of the ten rounds in which `everybody` is tested once, the first `rounds` are run. Raises ColdstartError if too few
    users qualify.
    """
    rows = []
    for mode, labels in {"rating": R, "click": as_clicks(R)}.items():
        of_mode = contenders(features, float(labels.data.var()) or 1.0)
        for seed in seeds:
            for one in islice(everybody(labels, seed), rounds):
                found = run_round(one, of_mode, features, first, clicks=mode == "click", trials=trials)
                rows.append(found.assign(mode=mode, split=seed))
    return pd.concat(rows, ignore_index=True)


def run_published(R: sparse.csr_matrix, first: First, seeds: Iterable[int]) -> pd.DataFrame:
    """Return the rows of `run_round` for chance, a constant and item means, on people chosen `as_published`.

    One round for each mode and seed; columns as those of `run_modes`.
    """
    plain = {name: method for name, method in contenders([], 1.0).items() if not method.knobs}
    rows = []
    for mode, labels in {"rating": R, "click": as_clicks(R)}.items():
        for seed in seeds:
            found = run_round(as_published(labels, seed), plain, {}, first, clicks=mode == "click")
            rows.append(found.assign(mode=mode, split=seed))
    return pd.concat(rows, ignore_index=True)


def _counted(train: sparse.csr_matrix, values: Array) -> tuple[Array, Array]:
    items = train.shape[1]
    return np.bincount(train.indices, minlength=items), np.bincount(train.indices, values, items)
