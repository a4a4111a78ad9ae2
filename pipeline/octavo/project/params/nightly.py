"""Section `nightly`: what a nightly run does in addition to building."""

from typing import Annotated

from pydantic import (
    Field,
)

from octavo.project.params.section import Model, Url


class Drift(Model):
    """When new images differ so much from the old ones that a person must look at them before training."""

    false_alarms: Annotated[float, Field(ge=0.0001, le=0.1)] = 0.001
    """Largest share of nights on which images with an unchanged distribution are refused."""
    tolerance: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Total variation distance that is always allowed, even if it is certain. It is the share of images that would have
    to change to remove the difference."""


class Notify(Model):
    """Where to send a message when a night fails, and when a night succeeds again. The message is JSON."""

    command: tuple[str, ...] = ()
    """A program and its arguments, without a shell. The program gets the message on stdin."""
    url: Url | None = None
    """A webhook. If the URL is a secret, set the environment variable `OCTAVO_NOTIFY_URL` instead."""


class Keep(Model):
    """How long the results of nights are kept. Versions that were ever promoted are kept at any age."""

    days: Annotated[int, Field(ge=1, le=36_500)] = 30
    """For runs and versions in MLflow, logs, and trials of searches."""
    commits: Annotated[int, Field(ge=1, le=1_000_000)] = 10
    """Number of commits whose files stay in DVC's cache, in addition to the workspace, tags and experiments."""


class Nightly(Model):
    fetch: tuple[str, ...] = ()
    """A program and its arguments. It runs first and writes new data to `data.path`."""
    drift: Drift = Drift()
    notify: Notify = Notify()
    heartbeat: Url | None = None
    """A URL that is requested after each successful night. `OCTAVO_HEARTBEAT_URL` has precedence."""
    false_promotions: Annotated[float, Field(ge=0.001, le=0.5)] | None = 0.05
    """Largest probability that any of 365 nights promotes a variant whose true accuracy drop is the margin or more,
    although all nights use the same test images. null: each night uses `policy.confidence`, like a manual promotion."""
    retry: Annotated[float, Field(ge=0, le=20)] = 6
    """A night that was killed, or ended because a service was out of reach, is retried until this many hours after its
    scheduled time."""
    keep: Keep = Keep()
