"""DVC stage `benchmark`: all variants are timed beside the baseline."""

from octavo.evaluation.benchmark import benchmark
from octavo.project.errors import boundary
from octavo.project.params.params import load_params


@boundary()
def main() -> None:
    benchmark(load_params())


if __name__ == "__main__":
    main()
