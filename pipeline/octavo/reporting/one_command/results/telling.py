"""What the user is told: how the data were taken on stderr, the result on stdout."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from octavo.data.input_encoding import written
from octavo.evaluation.scorecard import Scorecards
from octavo.onnx_graph.foreign.comparison import Agreement
from octavo.project import story
from octavo.project.params.encoding import InputEncoding
from octavo.promotion.decision import Decision
from octavo.reporting import compare, equal_outputs, variants_table
from octavo.reporting.one_command.given.network import FloatNetwork
from octavo.reporting.one_command.given.preparing import Prepared
from octavo.reporting.one_command.planning import Plan
from octavo.reporting.one_command.results.shipping import Shipping, encoding_options
from octavo.reporting.variants_table import percent


@dataclass(frozen=True)
class Result:
    scorecards: Scorecards
    decision: Decision
    shipping: Shipping
    left_out: Mapping[str, str]
    """Recipe -> why it was not made, as a clause."""
    remarks: Sequence[str]
    """What became of the data, as sentences."""


def tell_data(network: FloatNetwork, prepared: Prepared) -> None:
    """Say what the model takes, how the examples were divided, and what was changed or left out."""
    example = prepared.images["test"]
    layout = f", {network.layout.upper()}" if network.layout else ""
    story.say(
        f"The model takes {written(network.shape)}{layout}. Examples are {example.dtype} {example.shape[1:]}, "
        f"{_encoded(prepared.encoding, str(example.dtype))}."
    )
    counts = ", ".join(f"{len(images):,} for {name}" for name, images in prepared.images.items())
    story.say(f"Examples: {counts}{'' if prepared.labelled else '; without labels'}.")
    for remark in prepared.remarks:
        story.say(remark)


def tell_network(agreement: Agreement) -> None:
    """Say how the network in the form that recipes start from compares with the given file."""
    story.say(f"The model was read: {agreement}.")
    for remark in agreement.remarks:
        story.say(remark)


def tell_plan(plan: Plan) -> None:
    """Say what is made, and what limits the search."""
    story.say(f"Making {', '.join(plan.options)}.")
    for remark in plan.remarks:
        story.say(remark)


def tell(result: Result, out: Path, as_json: bool) -> None:
    """Print the result.

    Args:
        result: of the command.
        out: the folder of the files.
        as_json: whether to print JSON, with figures that are not rounded.
    """
    rows = [*variants_table.table(result.scorecards, result.decision), *variants_table.refused(result.scorecards)]
    file = out / result.scorecards.card(result.shipping.ship).model.path
    if as_json:
        found = {"out": str(out), "file": str(file), **result.shipping.model_dump(mode="json")}
        found |= {"labels": result.decision.labelled, "left_out": dict(result.left_out)}
        found["remarks"] = list(result.remarks)
        found["notes"] = {card.variant: card.notes for card in result.scorecards.scorecards if card.notes}
        click.echo(json.dumps(found | json.loads(compare.as_json(rows, result.decision)), indent=2))
        return
    compare.show(rows, result.decision, equal_outputs.lines(result.scorecards))
    for note, names in _grouped((card.variant, note) for card in result.scorecards.scorecards for note in card.notes):
        click.echo(f"{', '.join(names)}: {note}")
    for reason, names in _grouped(result.left_out.items()):
        click.echo(f"Left out {', '.join(names)}: {reason}.")
    click.echo(f"\n{result.shipping.why}")
    if result.decision.labelled:
        float_model = result.scorecards.card(result.decision.baseline).quality.top1
        options = encoding_options(result.scorecards.data)
        click.echo(
            f"The float model's accuracy on these test images is {percent(float_model)}. Should it be higher, check "
            f"the encoding of its input{options} and the order of its classes."
        )
    click.echo()
    click.echo(f"Ship   {file}\nRun    python {file.with_name('run.py')}\nRead   {out / 'report.html'}")


def _grouped(said: Iterable[tuple[str, str]]) -> Iterable[tuple[str, list[str]]]:
    """Each sentence once, with the variants or recipes that it is said of."""
    found: dict[str, list[str]] = {}
    for name, sentence in said:
        found.setdefault(sentence, []).append(name)
    return found.items()


def _encoded(encoding: InputEncoding, dtype: str) -> str:
    steps = [f"divided by {encoding.scale:g}"] if dtype == "uint8" else ["as they are"]
    for verb, values in (("minus", encoding.mean), ("over", encoding.std)):
        steps += [f"{verb} {', '.join(f'{value:g}' for value in values)}"] if values else []
    return ", ".join(steps)
