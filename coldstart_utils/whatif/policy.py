"""What if this policy were new: from a state to tidy frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..ground import ColdstartError
from .bench import DIALS, _outcome
from .state import Frames, checked
from .world import World


def policy(world: World, state: Mapping[str, Any]) -> Frames:
    """Return where a policy stands between accuracy and exposure, and which films change hands between two of them.

    Four dials of 0 to 1 mix standardised scores, (1 − text)·ALS + text·bridge − popularity·log count, re-rank by
    maximal marginal relevance at weight `diversity` (Carbonell & Goldstein 1998), and give a place to a random film
    with chance `exploration`. `A` and `B` are pinned policies; the dials play one that is not. Frames: `points`
    (policy, dials, ndcg, tail, variety, coverage), `changes` (film, places in A and B), `difference` of NDCG, B less
    A, over users. Raises ColdstartError for a state that does not fit or a catalogue without a tail.
    """
    state, bench = checked(world, "policy", state), world.bench
    if bench is None:
        raise ColdstartError(world.notes)
    dials = {"now": state} | {name: state[name] for name in "AB" if state[name]}
    found = {name: _outcome(bench, tuple(float(own[dial]) for dial in DIALS)) for name, own in dials.items()}
    pair = {name: found.get(name, found["now"]) for name in "AB"}
    places = pd.DataFrame({name: np.bincount(own[0].ravel(), minlength=len(bench.items)) for name, own in pair.items()})
    order = np.argsort(places["B"] - places["A"], kind="stable").to_numpy()
    places.insert(0, "film", [world.names[i] for i in bench.items])
    gap = pair["B"][1] - pair["A"][1]
    half = 1.96 * gap.std(ddof=1) / np.sqrt(len(gap))
    difference = {"mean": gap.mean(), "low": gap.mean() - half, "high": gap.mean() + half, "n": len(gap)}
    return {
        "points": pd.DataFrame([{"policy": name} | measures for name, (*_, measures) in found.items()]),
        "changes": places.iloc[[*order[::-1][:6], *order[:6][::-1]]].query("A != B").reset_index(drop=True),
        "difference": pd.DataFrame([difference]),
    }  # fmt: skip
