"""Base class of everything that Octavo writes as JSON: frozen records that refuse unknown keys."""

from pydantic import BaseModel, ConfigDict

Interval = tuple[float, float]


class Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
