"""Measure the latency of all variants and the baseline in one process, and write `artifacts/benchmark.json`."""

import json

from octavo.backends import acceptance_record, latency, model_files
from octavo.backends.registry import open_model
from octavo.data.splits import load_split
from octavo.project import paths, story
from octavo.project.files import atomic_write
from octavo.project.params.params import Params


def benchmark(params: Params) -> list[str]:
    """Measure the latency of every variant that has a model.

    Returns:
        Names of the variants that were timed.

    Raises:
        VariantRefused: the baseline is refused, or its logits are not finite.
        ModelError: a model file is missing or damaged.
    """
    options = params.benchmark
    acceptance_record.check_baseline(params.baseline)
    images = load_split(paths.split("selection")).images[: max(options.batches)]
    names = [name for name in params.variants if acceptance_record.refusal(name) is None]
    opened = {name: open_model(model_files.path_of(name), options.threads) for name in names}
    predictors, refused = latency.sound(opened, images)
    if params.baseline in refused:
        raise acceptance_record.baseline_refused(params.baseline, refused[params.baseline])
    found: dict[str, dict[str, object]] = {name: {} for name in predictors}
    with story.counter("benchmark", len(options.batches) * options.rounds) as advance:
        for batch in options.batches:
            measured = latency.measure(predictors, params.baseline, images, batch, options.rounds, advance=advance)
            for name, figures in measured.items():
                found[name][str(batch)] = figures.model_dump(mode="json")
    record = {
        "machine": latency.describe_machine(),
        "models": {name: model_files.sha256(model_files.path_of(name)) for name in predictors},
        "threads": options.threads,
        "latency": found,
        "refused": refused,
    }
    atomic_write.write_text(paths.BENCHMARK, json.dumps(record, indent=1) + "\n")
    return list(found)
