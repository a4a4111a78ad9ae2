"""The base of what Octavo writes as JSON: frozen records without unknown keys."""

from pydantic import BaseModel, ConfigDict

Interval = tuple[float, float]


class Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
