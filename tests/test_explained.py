"""A named reason is put to the test of leaving it out."""

import pandas as pd

from coldstart_utils.measure.explained import by_largest_part


def answers_of(user, place, part, effect, stays):
    return pd.DataFrame({"user": user, "place": place, "part": part, "effect": effect, "stays": stays})


def test_the_largest_part_is_named_and_compared_with_the_largest_effect():
    told, share = by_largest_part(
        pd.concat(
            [
                # Named: the first answer; the second has the larger effect; without its reason the film leaves.
                answers_of(0, 0, [0.5, 0.2], [0.1, 0.3], [False, True]),
                # Named: the second, which is also the one without which most is lost; the film stays.
                answers_of(0, 1, [0.1, 0.4], [0.1, 0.2], [False, True]),
                answers_of(1, 0, [0.3, -0.1], [0.3, -0.2], [True, True]),
                answers_of(1, 1, [0.3, -0.1], [0.3, -0.2], [True, True]),
            ]
        )
    )
    assert told["named"].tolist() == [True, False, False, True, True, False, True, False]
    assert share["mean"].to_dict() == {"other": 0.25, "stays": 0.75, "first": 0.5}
    assert share["n"].tolist() == [2, 2, 2] and set(share["unit"]) == {"user"}
