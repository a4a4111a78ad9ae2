"""DVC stage `benchmark`: all variants in, their latency beside the baseline's out."""

import json

from pipeline import benchmark, files, layout, model_files
from pipeline.errors import boundary
from pipeline.params import load_params
from pipeline.runtimes import open_model
from pipeline.splits import load_split


@boundary()
def main() -> None:
    params = load_params()
    options = params.benchmark
    images = load_split(layout.split("selection")).images[: max(options.batches)]
    predictors = {name: open_model(layout.model(name), options.threads) for name in params.variants}
    models = {name: model_files.sha256(layout.model(name)) for name in params.variants}
    latency: dict[str, dict[str, object]] = {name: {} for name in predictors}
    for batch in options.batches:
        measured = benchmark.measure(predictors, params.baseline, images, batch, options.rounds)
        for name, figures in measured.items():
            latency[name][str(batch)] = figures.model_dump(mode="json")
    record = {
        "machine": benchmark.describe_machine(),
        "models": models,
        "threads": options.threads,
        "latency": latency,
    }
    files.write_text(layout.BENCHMARK, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
