"""A penalty on what two groups of users get, inside least squares: the closed form stays closed."""

from __future__ import annotations

import numpy as np

from ..catalogue.matrices import floats
from ..ground import ColdstartError
from .content import bridge

Array = np.ndarray
AIMS = ("equal scores", "equal errors")


def contrast(members: Array) -> Array:
    """Return χ [users], 1/n_a for the members of a group and −1/n_b for all others: χ·f is a difference of means.

    `members` [users] is a mask. Raises ColdstartError for a side with fewer than two users.
    """
    members = np.asarray(members)
    if members.dtype != bool:
        raise ColdstartError(f"contrast: expected a mask of users, got values of type {members.dtype}")
    sizes = int(members.sum()), int((~members).sum())
    if min(sizes) < 2:
        raise ColdstartError(f"contrast: expected two users or more on each side, got {sizes[0]} and {sizes[1]}")
    return np.where(members, 1 / sizes[0], -1 / sizes[1])


def fair_bridge(
    K: Array, targets: Array, warm: Array, new: Array, reg: float, members: Array, weight: float, aim: str
) -> Array:
    """Return a `content.bridge` [new, users] of `targets` [warm, users] whose loss has one more term.

    Let c be the `contrast` of `members`, scaled to length 1. The term is `weight`·‖Fc‖² for the aim 'equal scores',
    the two groups get the same score of an item on average (demographic parity), and `weight`·‖(F − Y)c‖² for 'equal
    errors', they are misjudged alike (value unfairness, Yao & Huang 2017). Both touch only the direction c of the
    users: there ridge has the penalty reg/(1 + weight), and for equal scores the target divided by 1 + weight; all
    else stays. Raises ColdstartError for another aim, a negative weight, or a group that is too small.
    """
    if aim not in AIMS:
        raise ColdstartError(f"aim: expected one of {', '.join(AIMS)}, got {aim!r}")
    if not 0 <= weight < np.inf:
        raise ColdstartError(f"weight: expected a number of 0 or more, got {weight!r}")
    targets = floats(targets, "targets")
    if targets.shape[1:] != np.shape(members):
        raise ColdstartError(f"members: expected a mask of {targets.shape[1]} users, got {np.shape(members)}")
    c = contrast(members)
    c = (c / np.linalg.norm(c)).astype(targets.dtype)
    plain = bridge(K, targets, warm, new, reg)
    along = (targets @ c)[:, None] / (1 + weight if aim == "equal scores" else 1)
    # However heavy the gap, the system must stay solvable.
    least = 1e-6 * float(np.mean(np.diagonal(K)))
    fair = bridge(K, along, warm, new, max(reg / (1 + weight), least))
    return plain + (fair - (plain @ c)[:, None]) * c


def gaps(scores: Array, wanted: Array, members: Array) -> dict[str, float]:
    """Return how far two groups of users differ in `scores` [users, items], and in scores less what is `wanted`.

    'score gap' and 'error gap' are root mean squares over items of differences of group means. A mean over users of
    few choices is noisy, so that an error gap does not go down to 0.
    """
    c = contrast(members)
    return {
        "score gap": float(np.sqrt(np.mean((c @ scores) ** 2))),
        "error gap": float(np.sqrt(np.mean((c @ (scores - wanted)) ** 2))),
    }
