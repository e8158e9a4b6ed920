"""What is asked of the service and what it answers: the shapes of the contract, with their limits."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

BODY = 1_000_000  # bytes
MOST = 200  # items of an answer, or of a list of likes
EVENTS = 1_000  # of one request

Id = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Entry = Annotated[str, StringConstraints(max_length=200)]
Sentence = Annotated[str, StringConstraints(max_length=2_000)]
Entries = Annotated[list[Entry], Field(max_length=50)]


class Strict(BaseModel):
    """What is sent: a field that is not known is refused, for it may be a known one misspelt."""

    model_config = ConfigDict(extra="forbid")


class NewItem(Strict):
    """An item that is new: its id, what is written about it, and attributes such as year and genres."""

    item: Id
    title: Annotated[str, StringConstraints(max_length=500)] = ""
    text: Annotated[str, StringConstraints(max_length=20_000)] = ""
    attributes: Annotated[dict[Id, Entry | int | Entries], Field(max_length=50)] = {}


class NewEvent(Strict):
    """What a user said of an item: 1 is a yes (a click, a purchase), 0 a no; five stars are sent as (stars − 1)/4.

    `time` is in seconds since 1970, below 0 before; the service takes its own where there is none. Who may send an
    event twice sends its time: user, item and time are its key. Of several events of a user about an item the latest
    counts.
    """

    user: Id
    item: Id
    value: Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)] = 1.0
    time: Annotated[float, Field(ge=-1e11, le=1e11, allow_inf_nan=False)] | None = None


class Withdrawal(Strict):
    """Whether an item is withdrawn: it is then in no answer, and what was said of it still counts."""

    withdrawn: bool = True


class Guest(Strict):
    """Somebody without an account: items they like and dislike, a sentence, or nothing at all. None of it is kept."""

    likes: Annotated[list[Id], Field(max_length=MOST)] = []
    dislikes: Annotated[list[Id], Field(max_length=MOST)] = []
    sentence: Sentence = ""
    k: Annotated[int, Field(ge=1, le=MOST)] = 20
    reasons: bool = False


class Scored(BaseModel):
    """An item of an answer; `because`, where it was asked for, adds up to the score."""

    item: str
    title: str
    score: float
    because: dict[str, Any] | None = None


class Answer(BaseModel):
    """A ranking, and the version of the model that made it."""

    model: str
    items: list[Scored]


class Known(BaseModel):
    """How many events of a user are stored, and the mean of what is believed of their factor."""

    events: int
    vector: list[float]


class Stored(BaseModel):
    """What has been stored, and is on disk: how many are new, how many were there already."""

    new: int
    known: int


class Detail(BaseModel):
    """Why not, in one sentence."""

    detail: str
