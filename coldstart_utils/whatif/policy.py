"""What if this policy were new: from dials to measures, and to the films that change hands."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from ..ground import ColdstartError
from .bench import Bench, Played, played
from .state import PolicyState, completed
from .world import World

CHANGES = 6  # films shown in each direction


@dataclass(frozen=True)
class Difference:
    """NDCG of policy B less that of A: mean over `n` users, and the ends of its 95 % interval over users."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class PolicyResult:
    """Where policies stand, and what changes from A to B.

    `points` has a row for each of 'now', 'A', 'B' that is set: policy, the five dials, ndcg, tail, variety, coverage.
    `changes` are the films whose number of places over all lists differs most: film, A, B.
    """

    points: pd.DataFrame
    changes: pd.DataFrame
    difference: Difference


def policy(world: World, state: PolicyState) -> PolicyResult:
    """Return where a policy stands between accuracy and exposure, and which films change hands between two of them.

    The dials mix standardised scores, (1 − text)·ALS + text·bridge − popularity·log count, buy places for the tail at
    one price, re-rank by maximal marginal relevance (Carbonell & Goldstein 1998), and give places to random films.
    Where A or B is not pinned, the dials as they stand play its part. Raises ColdstartError for a state that does not
    fit or a catalogue without a tail.
    """
    if world.bench is None:
        raise ColdstartError(world.notes)
    state = completed(world, state)
    pinned = {"now": state.dials(), "A": state.A, "B": state.B}
    dials = {name: own for name, own in pinned.items() if own}
    found = {name: played(world.bench, own) for name, own in dials.items()}
    a, b = (found.get(name, found["now"]) for name in "AB")
    points = [{"policy": name} | asdict(dials[name]) | own.measures for name, own in found.items()]
    return PolicyResult(pd.DataFrame(points), _changes(world, world.bench, a, b), _difference(a, b))


def _changes(world: World, bench: Bench, a: Played, b: Played) -> pd.DataFrame:
    """Return the films that gain and that lose most places from A to B, largest gain first."""
    before, after = (np.bincount(own.lists.ravel(), minlength=len(bench.items)) for own in (a, b))
    order = np.argsort(before - after, kind="stable")
    ends = order if len(order) < 2 * CHANGES else np.concatenate([order[:CHANGES], order[-CHANGES:]])
    ends = ends[before[ends] != after[ends]]
    films = [world.names[item] for item in bench.items[ends]]
    return pd.DataFrame({"film": films, "A": before[ends], "B": after[ends]})


def _difference(a: Played, b: Played) -> Difference:
    gap = b.ndcg - a.ndcg
    half = 1.96 * gap.std(ddof=1) / np.sqrt(len(gap))
    return Difference(float(gap.mean()), float(gap.mean() - half), float(gap.mean() + half), len(gap))
