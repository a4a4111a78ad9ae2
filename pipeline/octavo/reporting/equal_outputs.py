"""How many outputs stay the same if the same integers are computed in another format or by other kernels, in words."""

from octavo.evaluation.scorecard import Parity, Scorecard, Scorecards

NETWORK = "network"
"""The comparison with the network that a variant was made of. It has no integers, so it is left out here."""


def lines(scorecards: Scorecards) -> list[str]:
    """One line for each pair of variants with the same integers. The later one is compared with the earlier one.

    If the outputs are floats, the weights are the same integers, but each runtime may round activations in its own way.
    """
    earlier: list[str] = []
    found: list[str] = []
    for card in scorecards.scorecards:
        twins = {name: card.parity[name] for name in earlier if name in card.parity}
        found += [f"Same {_what(each)} in {card.variant} and {name}: {told(each)}." for name, each in twins.items()]
        earlier.append(card.variant)
    return found


def comparisons(card: Scorecard) -> dict[str, str]:
    """What a variant is compared with -> how much is equal. Without the network that it was made of."""
    return {_whom(name, parity): told(parity) for name, parity in card.parity.items() if name != NETWORK}


def _whom(name: str, parity: Parity) -> str:
    return f"the same file by {name}" if name == parity.reference_kernels else f"{name}, of the same {_what(parity)}"


def _what(parity: Parity) -> str:
    return "weights" if parity.step is None else "integers"


def told(parity: Parity) -> str:
    """The equal decisions and outputs, and which kernels were compared, as a clause.

    Floats are hardly ever equal to the last digit, so of float outputs the largest difference is told.
    """
    said = f"{parity.top1:,} of {parity.n:,} decisions"
    if parity.step is None:
        said += f" are equal, float outputs differ by at most {parity.largest:.2g}"
    else:
        outputs = f" and {parity.equal:,} of {parity.values:,} outputs" if parity.values else ""
        said += f"{outputs} are equal"
    named = parity.kernels and parity.reference_kernels
    return f"{said} ({parity.kernels} against {parity.reference_kernels})" if named else said
