"""DVC stage `benchmark`: all variants in, their latency beside the baseline's out."""

import json

from octavo.backends import acceptance_record, model_files
from octavo.backends import latency as backends_latency
from octavo.backends.registry import open_model
from octavo.data.splits import load_split
from octavo.project import paths
from octavo.project.errors import boundary
from octavo.project.files import atomic_write
from octavo.project.params import load_params


@boundary()
def main() -> None:
    params = load_params()
    options = params.benchmark
    acceptance_record.check_baseline(params.baseline)
    images = load_split(paths.split("selection")).images[: max(options.batches)]
    names = [name for name in params.variants if acceptance_record.refusal(name) is None]
    opened = {name: open_model(paths.model(name), options.threads) for name in names}
    predictors, refused = backends_latency.sound(opened, images)
    if params.baseline in refused:
        raise acceptance_record.baseline_refused(params.baseline, refused[params.baseline])
    latency: dict[str, dict[str, object]] = {name: {} for name in predictors}
    for batch in options.batches:
        measured = backends_latency.measure(predictors, params.baseline, images, batch, options.rounds)
        for name, figures in measured.items():
            latency[name][str(batch)] = figures.model_dump(mode="json")
    record = {
        "machine": backends_latency.describe_machine(),
        "models": {name: model_files.sha256(paths.model(name)) for name in predictors},
        "threads": options.threads,
        "latency": latency,
        "refused": refused,
    }
    atomic_write.write_text(paths.BENCHMARK, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
