"""DVC stage `benchmark`: measure the latency of all variants together with the baseline."""

from octavo.evaluation.benchmark import benchmark
from octavo.project import story
from octavo.project.params.params import load_params


@story.stage
def main() -> str:
    timed = benchmark(load_params())
    return f"benchmark: {len(timed)} variants measured"


if __name__ == "__main__":
    main()
