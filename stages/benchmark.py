"""DVC stage `benchmark`: all variants in, their latency beside the baseline's out."""

import json

from pipeline import admission, benchmark, files, layout, model_files
from pipeline.errors import boundary
from pipeline.params import load_params
from pipeline.runtimes import open_model
from pipeline.splits import load_split


@boundary()
def main() -> None:
    params = load_params()
    options = params.benchmark
    admission.check_baseline(params.baseline)
    images = load_split(layout.split("selection")).images[: max(options.batches)]
    names = [name for name in params.variants if admission.refusal(name) is None]
    opened = {name: open_model(layout.model(name), options.threads) for name in names}
    predictors, refused = benchmark.sound(opened, images)
    if params.baseline in refused:
        raise admission.baseline_refused(params.baseline, refused[params.baseline])
    latency: dict[str, dict[str, object]] = {name: {} for name in predictors}
    for batch in options.batches:
        measured = benchmark.measure(predictors, params.baseline, images, batch, options.rounds)
        for name, figures in measured.items():
            latency[name][str(batch)] = figures.model_dump(mode="json")
    record = {
        "machine": benchmark.describe_machine(),
        "models": {name: model_files.sha256(layout.model(name)) for name in predictors},
        "threads": options.threads,
        "latency": latency,
        "refused": refused,
    }
    files.write_text(layout.BENCHMARK, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
