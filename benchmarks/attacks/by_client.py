"""Tampering by MLflow's own client, or its pages: tags, aliases, versions, models, experiments and runs."""

from collections.abc import Iterator
from functools import partial

from benchmarks.attacks.kind import Change, Kind, kinds_of
from benchmarks.attacks.victim import MODEL, STANDS, VARIANT, Victim
from octavo_mlflow.registry.standing import DONE, HEAD, LOG, ORDER

ODD = ("", " ", "seven", "-1", "9" * 5000, "1 abc", "\u2028", "{}", "'; --")
"""Values that nobody would write there."""
MADE_UP = {
    "audit.record": f"5 {64 * 'a'}",
    "promote.by": "somebody",
    "promote.when": "2026-11-20T00:00:00+00:00",
    "rollback.by": "somebody",
    "rollback.when": "2026-11-20T00:00:00+00:00",
    "rolled.back": "2026-11-20T00:00:00+00:00 by somebody",
}
"""Tags by which a version would say that it was champion once."""
OTHERS = {"model.sha256": "0" * 64, "octavo.digest": "0" * 64, "variant": "onnx_fp32", "verdict": "fail"}


def kinds(victim: Victim) -> Iterator[Kind]:
    """All of them; what tags there are, the victim tells."""
    yield from _model_tags(victim)
    for version in (2, 3, 4):
        yield from _version_tags(victim, version)
    yield from kinds_of("aliases", "client", dict(_aliases()))
    yield from kinds_of("versions, deleted or copied", "client", dict(_versions()))
    yield from kinds_of("registered model", "client", dict(_models()))
    yield from kinds_of("experiments and runs", "client", dict(_experiments()))
    yield from kinds_of("descriptions, stages, other tags", "client", dict(_harmless()))


def _model_tags(victim: Victim) -> Iterator[Kind]:
    ((head,),) = victim.sql("SELECT value FROM registered_model_tags WHERE key = ?", HEAD)
    values = {
        HEAD: {
            "an older record": _older,
            "an unknown record": lambda _: f"5 {64 * 'a'}",
            "no record": lambda _: head[2:],
        },
        DONE: {"an older number": lambda _: "3", "a later number": lambda _: "5", "no number": lambda _: "0"},
        LOG: {"another run": _other_run, "no run": lambda _: 32 * "a"},
    }
    for tag, ways in values.items():
        group = f"tag {tag} of the model"
        for name, value in ways.items():
            yield Kind(group, f"{tag}: {name}", "client", partial(_set, tag, value))
        for odd in ODD:
            yield Kind(group, f"{tag}: {odd[:9]!a}", "client", partial(_set, tag, lambda _, odd=odd: odd))
        yield Kind(group, f"{tag}: deleted", "client", partial(_unset, tag))


def _older(victim: Victim) -> str:
    name = victim.records()[1].stem
    return f"2 {name.partition('-')[2]}"


def _other_run(victim: Victim) -> str:
    return str(victim.client().get_model_version(MODEL, "1").run_id)


def _set(tag: str, value: object, victim: Victim) -> None:
    victim.client().set_registered_model_tag(MODEL, tag, value(victim))  # type: ignore[operator]


def _unset(tag: str, victim: Victim) -> None:
    victim.client().delete_registered_model_tag(MODEL, tag)


def _version_tags(victim: Victim, version: int) -> Iterator[Kind]:
    """Every tag there is: another value, an odd one, none; and of a version that never was champion made-up ones."""
    found = dict(victim.sql("SELECT key, value FROM model_version_tags WHERE version = ?", version))
    what = {2: "previous and anchor", 3: "the champion", 4: "the next one"}[version]
    for tag, value in found.items():
        group = f"tags of {what}"
        others = {"another value": OTHERS.get(tag, f"{value}1"), "odd": "\u2028", "empty": ""}
        for name, other in others.items():
            yield Kind(group, f"{tag}: {name}", "client", partial(_tag, str(version), tag, other))
        yield Kind(group, f"{tag}: deleted", "client", partial(_untag, str(version), tag))
    for tag, value in MADE_UP.items():
        if version == 4:
            yield Kind(f"tags of {what}", f"{tag}: made up", "client", partial(_tag, str(version), tag, value))


def _tag(version: str, tag: str, value: str, victim: Victim) -> None:
    victim.client().set_model_version_tag(MODEL, version, tag, value)


def _untag(version: str, tag: str, victim: Victim) -> None:
    victim.client().delete_model_version_tag(MODEL, version, tag)


def _aliases() -> Iterator[tuple[str, Change]]:
    for alias in ORDER:
        for version in "1234":
            if version != STANDS[alias]:
                yield f"{alias} to version {version}", partial(_alias, alias, version)
        yield (
            f"{alias} deleted",
            partial(_no_alias, alias),
        )
    yield "champion and previous swapped", _swapped
    for alias in ("Champion", "ch\u0430mpion", "champions"):
        yield (
            f"{alias!a} beside, to version 1",
            partial(_alias, alias, "1"),
        )


def _alias(alias: str, version: str, victim: Victim) -> None:
    victim.client().set_registered_model_alias(MODEL, alias, version)


def _no_alias(alias: str, victim: Victim) -> None:
    victim.client().delete_registered_model_alias(MODEL, alias)


def _swapped(victim: Victim) -> None:
    victim.client().set_registered_model_alias(MODEL, "champion", "2")
    victim.client().set_registered_model_alias(MODEL, "previous", "3")


def _versions() -> Iterator[tuple[str, Change]]:
    for version in "1234":
        yield (
            f"version {version} deleted",
            partial(_delete_version, version),
        )
        yield (
            f"version {version} copied by the button",
            partial(_copy_version, version),
        )
    yield "version 3's tags on a version of another file", _pretender


def _delete_version(version: str, victim: Victim) -> None:
    victim.client().delete_model_version(MODEL, version)


def _copy_version(version: str, victim: Victim) -> None:
    """As MLflow's button "Promote model" does, into the same model."""
    victim.client().copy_model_version(f"models:/{MODEL}/{version}", MODEL)


def _pretender(victim: Victim) -> None:
    """A version 5 with the tags of 4, so that it has the digest that promote looks for, of the files of 1."""
    client = victim.client()
    four, one = client.get_model_version(MODEL, "4"), client.get_model_version(MODEL, "1")
    client.create_model_version(
        MODEL, str(one.source), one.run_id, tags=four.tags, model_id=str(one.source).removeprefix("models:/")
    )


def _models() -> Iterator[tuple[str, Change]]:
    yield "renamed", lambda victim: victim.client().rename_registered_model(MODEL, "other")
    yield "renamed, and back", _renamed_and_back
    yield "deleted", lambda victim: victim.client().delete_registered_model(MODEL)
    yield "deleted, and made anew without versions", _anew
    yield "deleted, and version 1 its champion", lambda victim: _anew(victim, crowned=True)


def _renamed_and_back(victim: Victim) -> None:
    victim.client().rename_registered_model(MODEL, "other")
    victim.client().rename_registered_model("other", MODEL)


def _anew(victim: Victim, crowned: bool = False) -> None:
    client = victim.client()
    old, tags = client.get_model_version(MODEL, "1"), client.get_registered_model(MODEL).tags
    client.delete_registered_model(MODEL)
    client.create_registered_model(MODEL, tags=tags)
    if crowned:
        client.create_model_version(MODEL, str(old.source), old.run_id, tags=old.tags)
        client.set_registered_model_alias(MODEL, "champion", "1")


def _experiments() -> Iterator[tuple[str, Change]]:
    for name in (MODEL, f"{MODEL}.audit"):
        yield f"experiment {name} deleted", partial(_delete_experiment, name)
        yield f"experiment {name} renamed", partial(_rename_experiment, name)
    yield "run of the log deleted", lambda victim: victim.client().delete_run(_log(victim))
    yield "run of the log says no more what it is", lambda victim: victim.client().delete_tag(_log(victim), "audit.of")
    yield (
        "run of the log says it is another model's",
        lambda victim: victim.client().set_tag(_log(victim), "audit.of", "other"),
    )
    for version in "1234":
        yield f"run of version {version} deleted", partial(_delete_run, version)
        yield f"logged model of version {version} deleted", partial(_delete_logged, version)


def _log(victim: Victim) -> str:
    return str(victim.client().get_registered_model(MODEL).tags[LOG])


def _delete_experiment(name: str, victim: Victim) -> None:
    found = victim.client().get_experiment_by_name(name)
    assert found
    victim.client().delete_experiment(found.experiment_id)


def _rename_experiment(name: str, victim: Victim) -> None:
    found = victim.client().get_experiment_by_name(name)
    assert found
    victim.client().rename_experiment(found.experiment_id, f"{name}-2")


def _delete_run(version: str, victim: Victim) -> None:
    victim.client().delete_run(str(victim.client().get_model_version(MODEL, version).run_id))


def _delete_logged(version: str, victim: Victim) -> None:
    source = str(victim.client().get_model_version(MODEL, version).source)
    victim.client().delete_logged_model(source.removeprefix("models:/"))


def _harmless() -> Iterator[tuple[str, Change]]:
    yield "description of the model", lambda victim: victim.client().update_registered_model(MODEL, "It is perfect.")
    yield (
        "description of version 3",
        lambda victim: victim.client().update_model_version(MODEL, "3", "It is perfect."),
    )
    yield "a tag of the model", lambda victim: victim.client().set_registered_model_tag(MODEL, "team", "night shift")
    yield "a tag of version 3", lambda victim: victim.client().set_model_version_tag(MODEL, "3", "seen", "yes")
    yield (
        "stage of version 1",
        lambda victim: victim.client().transition_model_version_stage(MODEL, "1", "Production"),
    )
    yield "another model of the same variant", _another_model


def _another_model(victim: Victim) -> None:
    client = victim.client()
    four = client.get_model_version(MODEL, "4")
    client.create_registered_model("other")
    client.create_model_version("other", str(four.source), four.run_id, tags=four.tags)
    client.set_registered_model_alias("other", "champion", "1")
    assert four.tags["variant"] == VARIANT
