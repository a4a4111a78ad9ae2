"""DVC stage `report`: everything measured in; scorecards, the gate's decision, metrics, plots and the page out."""

import sys

from octavo.evaluation import assembly
from octavo.project import paths
from octavo.project.errors import boundary
from octavo.project.params.params import load_params
from octavo.promotion import gate
from octavo.reporting import report, variants_table


@boundary()
def main() -> None:
    params = load_params()
    scorecards = assembly.assemble(params)
    decision = gate.decide(scorecards, params.policy, params.baseline)
    curves = {name: paths.curve(name) for name in (*params.networks, *params.finetuned)}
    trials = {name: paths.trials(name) for name in params.variants}
    parents = {name: network.parent for name, network in params.finetuned.items()}
    report.write(scorecards, decision, curves, trials, parents)
    for warning in variants_table.warnings(decision):
        print(warning, file=sys.stderr)


if __name__ == "__main__":
    main()
