"""Octavo as users have it: its wheel in environments of their own."""

from collections.abc import Callable

import pytest

from tests.end_to_end import installed
from tests.end_to_end.installed import Environment

Install = Callable[..., Environment]


@pytest.fixture(scope="session")
def install(tmp_path_factory: pytest.TempPathFactory) -> Install:
    """An environment for extras and a version of Python; the same one each time that they are asked for."""
    wheel = installed.build_wheel(tmp_path_factory.mktemp("wheel"))
    made: dict[tuple[str, str], Environment] = {}

    def environment(extras: str = "", python: str = "") -> Environment:
        if (extras, python) not in made:
            made[extras, python] = installed.install(wheel, tmp_path_factory.mktemp("environment"), extras, python)
        return made[extras, python]

    return environment
