"""DVC stage `report`: everything measured in; scorecards, the gate's decision, metrics, plots and the page out."""

import sys

from octavo.evaluation import assembly
from octavo.project import paths
from octavo.project.errors import boundary
from octavo.project.params import NETWORKS, load_params
from octavo.promotion import gate
from octavo.reporting import report, variants_table


@boundary()
def main() -> None:
    params = load_params()
    scorecards = assembly.assemble(params)
    decision = gate.decide(scorecards, params.policy, params.baseline)
    curves = {name: paths.curve(name) for name in NETWORKS}
    trials = {name: paths.trials(name) for name in params.variants}
    report.write(scorecards, decision, curves, trials)
    for warning in variants_table.warnings(decision):
        print(warning, file=sys.stderr)


if __name__ == "__main__":
    main()
