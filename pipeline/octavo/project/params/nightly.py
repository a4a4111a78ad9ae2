"""Section `nightly`: what a night does beside building."""

from typing import Annotated

from pydantic import (
    Field,
)

from octavo.project.params.section import Model, Url


class Drift(Model):
    """When new images are too unlike the old to train on without somebody looking."""

    false_alarms: Annotated[float, Field(ge=0.0001, le=0.1)] = 0.001
    """Share of nights, at most, on which images like the old are refused all the same."""
    tolerance: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Total variation distance that is put up with, however certain: the share of images that would have to differ."""


class Notify(Model):
    """Whom to tell when a night fails, and when one is well again; each gets the message as JSON."""

    command: tuple[str, ...] = ()
    """A program and its arguments, no shell; the message is its input."""
    url: Url | None = None
    """A web hook. One that is a secret is `OCTAVO_NOTIFY_URL` in the environment instead."""


class Keep(Model):
    """How long what nights leave behind is kept. What was ever promoted is kept whatever its age."""

    days: Annotated[int, Field(ge=1, le=36_500)] = 30
    """Runs and versions in MLflow, logs, and trials of searches."""
    commits: Annotated[int, Field(ge=1, le=1_000_000)] = 10
    """Commits whose files DVC's cache keeps, beside the workspace, tags and experiments."""


class Nightly(Model):
    fetch: tuple[str, ...] = ()
    """A program and its arguments that bring new data to `data.path`, before anything else."""
    drift: Drift = Drift()
    notify: Notify = Notify()
    heartbeat: Url | None = None
    """A URL that is asked for after each night without trouble; `OCTAVO_HEARTBEAT_URL` wins."""
    false_promotions: Annotated[float, Field(ge=0.001, le=0.5)] | None = 0.05
    """Chance, at most, that in 365 nights any promotes a variant whose true loss is the margin or more, though all of
    them judge by the same test images; null: each night judges with `policy.confidence`, as a promotion by hand."""
    retry: Annotated[float, Field(ge=0, le=20)] = 6
    """Hours after its time for which a night is tried again that was killed, or that a service out of reach ended."""
    keep: Keep = Keep()
