"""DVC stage `benchmark`: all variants are timed beside the baseline."""

from octavo.evaluation.benchmark import benchmark
from octavo.project import story
from octavo.project.params.params import load_params


@story.stage
def main() -> str:
    timed = benchmark(load_params())
    return f"benchmark: {len(timed)} variants timed"


if __name__ == "__main__":
    main()
