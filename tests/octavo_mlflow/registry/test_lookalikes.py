"""Which names of aliases people could take for a reserved one."""

import pytest

from octavo_mlflow.registry.lookalikes import like
from octavo_mlflow.registry.standing import ORDER


@pytest.mark.parametrize(
    "alias",
    [
        "champion",
        "Champion",
        "CHAMPION",
        " champion",
        "champion\n",
        "cham\u200bpion",
        "ch\u0430mpion",
        "\u0430n\u0441h\u043er",
        "\uff50revious",
        "\u1d18revious",
    ],
)
def test_look_alikes_are_recognized(alias: str) -> None:
    assert like(alias, ORDER)


@pytest.mark.parametrize(
    "alias",
    [
        "champions",
        "champ",
        "challenger",
        "production",
        "ancho",
        "\u0447\u0435\u043c\u043f\u0438\u043e\u043d\u044b",
        "\u51a0\u519b",
        "",
    ],
)
def test_other_names_are_free(alias: str) -> None:
    assert not like(alias, ORDER)
