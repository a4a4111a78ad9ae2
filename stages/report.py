"""DVC stage `report`: everything measured in; scorecards, the gate's decision, metrics, plots and the page out."""

import sys

from pipeline import gate, layout, lineage, report, table
from pipeline.errors import boundary
from pipeline.params import NETWORKS, load_params


@boundary()
def main() -> None:
    params = load_params()
    scorecards = lineage.assemble(params)
    decision = gate.decide(scorecards, params.policy, params.baseline)
    curves = {name: layout.curve(name) for name in NETWORKS}
    trials = {name: layout.trials(name) for name in params.variants}
    report.write(scorecards, decision, curves, trials)
    for warning in table.warnings(decision):
        print(warning, file=sys.stderr)


if __name__ == "__main__":
    main()
