"""A stream of choices played again in its true order: what older knowledge costs, and how new items find takers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from ..ground import ColdstartError
from ..models.evidence import posterior
from .belief import Belief
from .state import factors_of
from .store import FILE, Event, Reader
from .versions import Model

Array = np.ndarray
POLICIES = ("random", "fixed", "greedy", "thompson")


@dataclass(frozen=True, eq=False)
class Stream:
    """Choices in order of time: `user`, place of the `item`, `time` in seconds [n]; the first `cut` are the past."""

    user: Array
    item: Array
    time: Array
    cut: int

    @property
    def tested(self) -> list[str]:
        """The users who choose something after the past, in the order of their first such choice."""
        return list(dict.fromkeys(self.user[self.cut :].tolist()))


def stream_of(events: Sequence[Event], place: Mapping[str, int], cut: int) -> Stream:
    """Return events, in order of time, as a stream over the `place` of each item; the first `cut` are the past."""
    user = np.array([event.user for event in events], object)
    item = np.array([place[event.item] for event in events])
    return Stream(user, item, np.array([event.time for event in events], float), cut)


def believed(prior: Belief, V: Array, items: Array) -> Belief:
    """Return what is believed of somebody after a yes to each of `items` [n], places in V [items, rank]."""
    return prior.after_all(V[items], np.ones(len(items)))


def next_choices(
    prior: Belief, V: Array, stream: Stream, stale: Mapping[str, float], *, k: int, most: int = 20, seed: int = 0,
    believe: Callable[[Belief, Array, Array], Belief] = believed,
) -> pd.DataFrame:  # fmt: skip
    """Return whether the next choice stood among the k best of what was not chosen yet, by how stale knowledge was.

    `stale` maps a name to seconds: what is believed of users is renewed whenever so many have passed (0: with every
    choice, infinity: never since the past). All rank the same items. Up to `most` choices of each user are asked about,
    drawn at random. `believe` makes a belief of the prior, V, and choices in their order. Columns: model (the name),
    user, new (nothing was known in the past), hit, knew (choices), step (choices before), fold.
    """
    rng, rows = np.random.default_rng(seed), []
    for user in stream.tested:
        own = np.flatnonzero(stream.user == user)
        past = int(np.searchsorted(own, stream.cut))
        asked = np.sort(rng.permutation(np.arange(past, len(own)))[:most])
        for step, name, knew, hit in _asked(prior, V, stream, own, past, asked, stale, k, believe):
            rows.append((name, user, past == 0, float(hit), knew, step, 0))
    return pd.DataFrame(rows, columns=["model", "user", "new", "hit", "knew", "step", "fold"])


def _asked(
    prior: Belief, V: Array, stream: Stream, own: Array, past: int, asked: Array, stale: Mapping[str, float], k: int,
    believe: Callable[[Belief, Array, Array], Belief],
) -> Iterator[tuple[int, str, int, bool]]:  # fmt: skip
    """Yield (step, name, number of choices known, hit) for each choice of one user that is asked about."""
    items, times = stream.item[own], stream.time[own]
    means: dict[int, Array] = {}
    for step in asked.tolist():
        if items[step] in items[:step]:
            continue
        for name, every in stale.items():
            knew = max(past, known_at(times[:step], times[step], every))
            if knew not in means:
                means[knew] = believe(prior, V, np.array([*dict.fromkeys(items[:knew])], int)).mean
            scores = V @ means[knew]
            scores[items[:step]] = -np.inf
            yield step, name, knew, bool((scores > scores[items[step]]).sum() < k)


def batch_vectors(folder: Path, model: Model, users: Sequence[str]) -> Array:
    """Return the posterior means [users, rank] of all that a store holds of `users`, by `evidence.posterior` at once.

    Who has said nothing keeps the prior. Raises ColdstartError if there is no store.
    """
    with contextlib.closing(Reader(folder / FILE)) as reader:
        items = reader.items()
        answers = [(row, *answer) for row, user in enumerate(users) for answer in reader.answers(user)]
    column = {item.number: n for n, item in enumerate(items)}
    rows, columns = np.array([(row, column[number]) for row, number, _, _ in answers], int).reshape(-1, 2).T
    X = sparse.csr_matrix(([value for *_, value in answers], (rows, columns)), shape=(len(users), len(items)))
    prior = np.tile(model.mean, (len(users), 1))
    V = factors_of(model, items).astype(float)
    return posterior(X, V, prior, model.covariance, noise=model.noise)


def known_at(earlier: Array, now: float, every: float) -> int:
    """Return how many of the `earlier` times are known `now` if knowledge is renewed at each multiple of `every`."""
    if every == 0:
        return len(earlier)
    return 0 if every == np.inf else int(np.searchsorted(earlier, now // every * every))


@dataclass(frozen=True, eq=False)
class Visitors:
    """Who comes, in order: the `mean` of what is believed of each [visitors, rank], the score of the last place of the
    list of each, `worst` [visitors], and what they `took` of the new items [visitors, items].
    """

    mean: Array
    worst: Array
    took: Array


def visitors_of(prior: Belief, V: Array, stream: Stream, known: int, k: int) -> Visitors:
    """Return the users of the future of a stream, with the past alone known of them, for lists of k items.

    The first `known` places of V [items, rank] are items of the past, the others are new.
    """
    users = stream.tested
    row, new = {user: n for n, user in enumerate(users)}, stream.item >= known
    took = np.zeros((len(users), len(V) - known), bool)
    took[[row[user] for user in stream.user[new]], stream.item[new] - known] = True
    means, worst = np.zeros((len(users), V.shape[1])), np.full(len(users), -np.inf)
    for n, user in enumerate(users):
        before = np.unique(stream.item[: stream.cut][stream.user[: stream.cut] == user])
        means[n] = believed(prior, V, before).mean
        scores = np.delete(V[:known] @ means[n], before)
        worst[n] = np.sort(scores)[-min(k, len(scores))] if len(scores) else -np.inf
    return Visitors(means, worst, took)


@dataclass(frozen=True, eq=False)
class Opening:
    """New items meet visitors in their order: `shown` and `took` [visitors, items], as booleans."""

    shown: Array
    took: Array

    @property
    def reached(self) -> Array:
        """How many takers each item had been shown to after each visitor [visitors, items]."""
        return np.cumsum(self.shown & self.took, axis=0)


def opening(model: Model, factors: Array, visitors: Visitors, *, policy: str, places: int, seed: int = 0) -> Opening:
    """Return to whom new items are shown, one visitor after another: the `places` best of them in each list.

    With 0 places an item is shown where it beats the last place of the list. `factors` [items, rank] are guesses from
    content. 'random' ranks at random, 'fixed' by the guesses, 'greedy' by what the answers of those who
    saw an item make of its guess, with `model.noise`, and 'thompson' by a draw from that (Thompson 1933, chapter 06).
    Raises ColdstartError for another policy.
    """
    if policy not in POLICIES:
        raise ColdstartError(f"opening: expected one of {', '.join(POLICIES)}, got {policy!r}")
    rng, mean = np.random.default_rng(seed), factors.astype(float)
    spread = np.repeat(model.spread[None], len(mean), axis=0)
    shown, took = np.zeros(visitors.took.shape, bool), visitors.took
    for visitor, x in enumerate(visitors.mean):
        across = spread @ x
        score, variance = mean @ x, np.maximum(across @ x, 0)
        drawn = score
        if policy == "random":
            drawn = rng.random(len(score))
        elif policy == "thompson":
            drawn = rng.normal(score, np.sqrt(variance))
        at = np.argsort(-drawn, kind="stable")[:places] if places else np.flatnonzero(drawn > visitors.worst[visitor])
        shown[visitor, at] = True
        if policy in ("greedy", "thompson"):
            gain = across[at] / (variance[at] + model.noise)[:, None]
            mean[at] += gain * (took[visitor, at] - score[at])[:, None]
            spread[at] -= gain[:, :, None] * across[at][:, None, :]
    return Opening(shown, took)
