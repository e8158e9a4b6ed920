"""What if this user were new: from likes, age and a sentence to a list, its reasons, and the next question."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pandas as pd

from ..catalogue.movielens import expanded
from ..language import context
from ..models.content import unit_rows
from .belief import TOP_K, USER, answered
from .bench import variety
from .groups import age_group
from .state import LONGEST, UserState, completed
from .world import World

Array = np.ndarray

QUESTIONS = 3
PARTS = ["popularity", "prior", "films", "sentence"]


@dataclass(frozen=True)
class NewUser:
    """The list of a new user, and why.

    `entries`: film, score, and its parts less their means over the catalogue: popularity, prior (age and occupation),
    films (all answers), sentence; `reason` is the largest part, `by` the film whose answer gives most. `answers` has a
    row for each entry and a column for each film that was answered, liked first: what that answer adds, less its mean
    over the catalogue. `recall` of held-out users after k choices: k, mean, low, high (95 %), size; `like` names the
    group they are of, '' for everybody. `ask`, the films whose answers would teach most: film, variance. `k` films
    were answered, `liked` of them with a yes; `tail` is the share of the list that is rarely chosen, `variety` the
    mean of 1 − cosine within it.
    """

    entries: pd.DataFrame
    answers: pd.DataFrame
    recall: pd.DataFrame
    like: str
    ask: pd.DataFrame
    k: int
    liked: int
    tail: float
    variety: float


@dataclass(frozen=True)
class _Scores:
    """What adds up to the score of each film: `parts` [items, 4], `by_film` [items, answers]; and what is believed of
    the user now, `factor` [rank] and `covariance` [rank, rank].
    """

    parts: pd.DataFrame
    by_film: Array
    factor: Array
    covariance: Array


def new_user(world: World, state: UserState) -> NewUser:
    """Return the list of a new user who likes and dislikes films, has an age or occupation, or writes a sentence.

    A sentence counts as one choice, of an item that is what it says. Raises ColdstartError for a state that does not
    fit.
    """
    state = completed(world, state)
    names = [*state.liked, *state.disliked]
    rows = [world.row[name] for name in names]
    scores = _scores(world, state, rows)
    warm = np.asarray(world.users.other.any(axis=1))
    free = warm & ~np.isin(np.arange(len(warm)), rows)
    askable = free & ~np.isin(np.arange(len(warm)), [world.row[name] for name in state.unseen])
    total = scores.parts.sum(axis=1).to_numpy()
    top = np.argsort(-np.where(free, total, -np.inf), kind="stable")[: min(TOP_K, free.sum())]
    answers = pd.DataFrame((scores.by_film - scores.by_film[warm].mean(axis=0))[top], columns=names)
    entries = (scores.parts - scores.parts[warm].mean()).iloc[top].reset_index(drop=True)
    entries = entries.assign(reason=entries.idxmax(axis=1), film=[world.names[item] for item in top], score=total[top])
    entries["by"] = answers.columns[answers.to_numpy().argmax(axis=1)] if names else ""
    recall, like = _recall(world, _group(world, state, scores.factor))
    return NewUser(
        entries=entries,
        answers=answers,
        recall=recall,
        like=like,
        ask=_questions(world, scores.covariance, askable),
        k=len(rows),
        liked=len(state.liked),
        tail=float(world.tail[top].mean()),
        variety=variety(world.vectors[top] @ world.vectors[top].T),
    )


def _scores(world: World, state: UserState, rows: list[int]) -> _Scores:
    belief, V = world.users, world.users.other
    profile, sentence = world.reader.encode([_profile(world, state), state.sentence[:LONGEST]])
    about, yes = V[rows], np.arange(len(rows)) < len(state.liked)
    if sentence.any():
        about, yes = np.vstack([about, _wish(world, sentence)]), np.append(yes, True)
    guess = belief.guess(profile[None])[0] if profile.any() else belief.mean
    start, gains, covariance = answered(belief, guess, about, yes, **USER)
    plain, _, _ = answered(belief, belief.mean, V[:0], yes[:0], **USER)
    by_film = V @ gains[: len(rows)].T
    by_sentence = V @ gains[len(rows) :].sum(axis=0)
    columns = [V @ plain, V @ (start - plain), by_film.sum(axis=1), by_sentence]
    return _Scores(pd.DataFrame(dict(zip(PARTS, columns))), by_film, start + gains.sum(axis=0), covariance)


def _profile(world: World, state: UserState) -> str:
    """Return a sentence about age and occupation, as far as they are told and the catalogue knows them of others."""
    told = {"age": state.age, "occupation": state.occupation}
    person = {name: value for name, value in told.items() if value and name not in world.absent}
    if not person:
        return ""
    return context.user_texts(replace(world.dataset, users=pd.DataFrame([{"user_id": ""} | person])))[0]


def _wish(world: World, sentence: Array) -> Array:
    """Return the factor [rank] of an item that is what a sentence says beside the average, at the usual length."""
    V, W = world.users.other, world.models[-1].W
    # The texts of an item stand first in its features, each of the same width (`reading.texts_of`).
    content = np.tile(unit_rows((sentence - world.centre)[None])[0], 2 if expanded(world.dataset) else 1)
    length = np.sqrt(V[V.any(axis=1)].var(axis=0).sum())
    return unit_rows((content @ W[: len(content)])[None])[0] * length


def _group(world: World, state: UserState, factor: Array) -> tuple[str, str | None]:
    """Return the kind and the name of the group that a user is nearest to: of taste once there is an answer."""
    if not (state.liked or state.disliked or state.sentence.strip()):
        return "age", age_group(state.age)
    members = world.members["taste"]
    centres = unit_rows(members.to_numpy().T @ unit_rows(world.models[-1].other))
    return "taste", members.columns[np.argmax(centres @ factor)]


@lru_cache(maxsize=128)
def _recall(world: World, group: tuple[str, str | None]) -> tuple[pd.DataFrame, str]:
    """Return recall by k of held-out users of a group, or of all, and the name of the group or ''."""
    kind, name = group
    own = world.recall[world.recall[kind] == name] if kind in world.recall else world.recall[:0]
    curve = (own if len(own) else world.recall).groupby("k")["recall"].agg(["mean", "sem", "size"]).reset_index()
    half = 1.96 * curve["sem"].fillna(0)
    curve = curve.assign(low=curve["mean"] - half, high=curve["mean"] + half).drop(columns="sem")
    return curve, str(name) if len(own) else ""


def _questions(world: World, covariance: Array, free: Array) -> pd.DataFrame:
    """Return those of the `free` films [items], a mask, of which least is known what the user would say."""
    V = world.users.other
    variance = np.where(free, np.einsum("nk,nk->n", V @ covariance, V), -1.0)
    ask = np.argsort(-variance, kind="stable")[: min(QUESTIONS, int(free.sum()))]
    return pd.DataFrame({"film": [world.names[item] for item in ask], "variance": variance[ask]})
