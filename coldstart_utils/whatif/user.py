"""What if this user were new: from a state to tidy frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from ..language import context
from ..models.content import unit_rows
from .belief import TOP_K, USER, _unit, answered
from .bench import _variety
from .state import LONGEST, Frames, checked
from .world import World, _age


def new_user(world: World, state: Mapping[str, Any]) -> Frames:
    """Return the list of a new user who likes and dislikes films, has an age or occupation, or writes a sentence.

    A sentence counts as one choice, of an item that is what it says. Frames: `list` (film, score, and its parts less
    their means over the catalogue: popularity, prior, films, sentence; `reason`, the largest of them; `by`, the film
    that gives most); `recall` after k choices of held-out users like this one; `ask`, the films whose answers would
    teach most; `summary`. Raises ColdstartError for a state that does not fit.
    """
    state = checked(world, "user", state)
    belief, V, warm = world.users, world.users.other, world.users.other.any(axis=1)
    rows, liked = [world.row[name] for name in (*state["liked"], *state["disliked"])], len(state["liked"])
    person = {key: state[key] for key in ("age", "occupation") if key not in world.absent and state[key]}
    told = (
        [context.user_texts(replace(world.dataset, users=pd.DataFrame([{"user_id": ""} | person])))[0]]
        if person
        else [""]
    )
    profile, sentence = world.encode([*told, state["sentence"][:LONGEST]])
    about, y = V[rows], np.arange(len(rows)) < liked
    if sentence.any():
        # What the words say beside the average, at the usual length of a factor.
        content = np.tile(_unit(sentence - world.centre), 1 + (world.body == "synopsis"))
        wish = _unit(content @ world.models[-1].W[: len(content)]) * np.sqrt(V[warm].var(axis=0).sum())
        about, y = np.vstack([about, wish]), np.append(y, True)
    guess = belief.guess(profile[None])[0] if person else belief.mean
    start, gains, covariance = answered(belief, guess, about, y, **USER)
    plain = answered(belief, belief.mean, V[:0], y[:0], **USER)[0]
    by_film = V @ gains[: len(rows)].T
    parts = pd.DataFrame({"popularity": V @ plain, "prior": V @ (start - plain), "films": by_film.sum(axis=1),
                          "sentence": V @ gains[len(rows) :].sum(axis=0)})  # fmt: skip
    score, free = parts.sum(axis=1).to_numpy(), warm & ~np.isin(np.arange(len(V)), rows)
    top = np.argsort(-np.where(free, score, -np.inf), kind="stable")[: min(TOP_K, free.sum())]
    entries = (parts - parts[warm].mean()).iloc[top]
    by = [world.names[rows[j]] for j in by_film[top].argmax(axis=1)] if rows else [""] * len(top)
    entries = entries.assign(reason=entries.idxmax(axis=1), film=[world.names[i] for i in top], score=score[top], by=by)
    kind, like = "age", _age(state["age"])
    if len(y):
        members = world.members["taste"]
        centres = unit_rows(members.to_numpy().T @ unit_rows(world.models[-1].other))
        kind, like = "taste", members.columns[np.argmax(centres @ (start + gains.sum(axis=0)))]
    own = world.recall[world.recall[kind] == like] if kind in world.recall else world.recall[:0]
    curve = (own if len(own) else world.recall).groupby("k")["recall"].agg(["mean", "sem", "size"]).reset_index()
    half = 1.96 * curve["sem"].fillna(0)
    curve = curve.assign(low=curve["mean"] - half, high=curve["mean"] + half, like=str(like) if len(own) else "")
    gain = np.where(free, np.einsum("nk,nk->n", V @ covariance, V), -1.0)
    ask = np.argsort(-gain, kind="stable")[:3]
    summary = {
        "k": len(rows),
        "tail": world.tail[top].mean(),
        "variety": _variety(world.vectors[top] @ world.vectors[top].T),
    }
    return {"list": entries.reset_index(drop=True), "recall": curve, "summary": pd.DataFrame([summary]),
            "ask": pd.DataFrame({"film": [world.names[i] for i in ask], "variance": gain[ask]})}  # fmt: skip
