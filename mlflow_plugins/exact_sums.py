"""The library's decision about exact sums, under the name that it has beside registered models (see `own_code`)."""

from pipeline.exact_sums import decided

__all__ = ["decided"]
