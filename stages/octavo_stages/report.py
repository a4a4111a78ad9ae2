"""DVC stage `report`: write scorecards, the gate's decision, metrics, plots and the HTML page."""

from octavo.evaluation import assembly
from octavo.project import story
from octavo.project.params.params import load_params
from octavo.promotion import gate
from octavo.reporting import report, variants_table


@story.stage
def main() -> str:
    params = load_params()
    scorecards = assembly.assemble(params)
    decision = gate.decide(scorecards, params.policy, params.baseline)
    report.write_project(scorecards, decision, params)
    for warning in variants_table.warnings(decision):
        story.say(warning)
    return f"report: {decision.winner or 'no variant'} is the winner, see reports/report.html"


if __name__ == "__main__":
    main()
