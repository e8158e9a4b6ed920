"""Who takes part: every rival, with the ranges of its knobs, as methods of a study; and the parts of `transfer`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from ..measure import study
from ..measure.claims import average_user, ridge_from_profile
from ..measure.newcomers import NewcomerRecipe
from ..measure.recipe import Recipe
from ..measure.study import Method
from ..models import k_shot
from ..models.content import block_kernels
from ..models.transfer import Neighbours, Transfer
from .closed import Marec, SelfTraining
from .content import clcrec, feature_embeddings, two_towers
from .distilled import aldi, dropoutnet
from .factorisation import bpr_bridged, sgd_bridged
from .features import Features, features_of
from .learning import Epoch, Rival
from .newcomers import melu

Array = np.ndarray
Matrix = Any  # a NumPy array or a SciPy sparse matrix
Ranges = dict[str, tuple[float, float]]
RECIPE = "transfer"
NETWORK: Ranges = {"rate": (1e-3, 3e-2), "blank": (0.05, 0.8)}
LEARNERS: dict[str, tuple[Callable[..., Iterator[Epoch]], Ranges]] = {
    "SGD factors, bridged": (sgd_bridged, {"rate": (2e-3, 5e-2), "reg": (1.0, 100.0), "penalty": (1.0, 100.0)}),
    "BPR factors, bridged": (bpr_bridged, {"rate": (1e-2, 0.3), "reg": (1e-3, 0.1), "penalty": (1.0, 100.0)}),
    "feature embeddings": (feature_embeddings, {"rate": (2e-3, 5e-2), "decay": (1e-2, 3.0)}),
    "DropoutNet": (dropoutnet, NETWORK | {"dropped": (0.25, 1.0)}),
    "two towers": (two_towers, NETWORK | {"rate": (2e-3, 0.2), "temperature": (0.05, 2.0)}),
    "CLCRec": (clcrec, NETWORK | {"rate": (2e-3, 0.2), "temperature": (0.05, 2.0), "share": (0.1, 0.9)}),
    "ALDI": (aldi, NETWORK | {"weight": (0.1, 10.0)}),
}
PARTS = {"choices": "ridge on choices", "ALS": "bridge to ALS", "EASE": "bridge to EASE"}


def learners(features: Features, *, seed: int = 0) -> dict[str, Rival]:
    """Return the rivals that learn in epochs, by name."""
    return {name: Rival(partial(learn, features, seed=seed), ranges) for name, (learn, ranges) in LEARNERS.items()}


def closed_forms(features: Features, blocks: Mapping[str, Matrix]) -> dict[str, Method]:
    """Return the rivals in closed form and the parts of `transfer`, by name."""
    kernel = {"all": features.K}
    methods: dict[str, Method] = {"neighbours": Neighbours(kernel)}
    methods |= {name: Transfer(kernel, teacher) for teacher, name in PARTS.items()}
    return methods | {"self-training": SelfTraining(features.K), "MARec": Marec(block_kernels(blocks))}


def contestants(blocks: Mapping[str, Matrix], *, features: Features | None = None, seed: int = 0) -> dict[str, Method]:
    """Return all methods for new items, by name: rivals in closed form and in epochs, and `transfer` itself.

    `blocks` as `language.context.content_blocks` gives them; `features` are made of them where they are not given.
    """
    features = features_of(blocks) if features is None else features
    return {RECIPE: Recipe(blocks), **closed_forms(features, blocks), **learners(features, seed=seed)}


def newcomer_contestants(
    features: Features, profiles: Array, k: int, *, least: int = 1, seed: int = 0
) -> dict[str, Method]:
    """Return the methods for new users who reveal `k` choices, by name; `profiles` [users, p] are all that is known.

    `least` choices make a user one whom the prior of the posterior is learnt from (`k_shot.known_sides`).
    """
    prior = partial(average_user, least=least)
    learn = partial(melu, features, k=k, profiles=profiles, seed=seed)
    return {
        "newcomers": NewcomerRecipe({"profile": profiles}),
        "popularity": study.Arm(partial(ridge_from_profile, people=None)),
        "fold-in": study.Arm(partial(k_shot.by_ratings, k=k), {"reg": 30.0, "alpha": 10.0}),
        "posterior": study.Arm(partial(k_shot.by_both, k=k, prior=prior), {"noise": 0.1, "silence": 0.03}),
        "MeLU": Rival(learn, {"rate": (1e-3, 3e-2), "pace": (0.02, 2.0)}, most=15),
    }
