"""The optimizer of a training, with its learning rate over time."""

from typing import Any

from octavo.project.params.training import Fit


def optimizer(keras: Any, budget: Fit, steps: int) -> Any:
    """The optimizer that `budget` asks for.

    Args:
        keras: the library of the network, tf_keras or Keras 3.
        budget: of the training.
        steps: of each epoch.
    """
    asked, rate = budget.optimizer, _rate(keras, budget, steps)
    made = keras.optimizers
    match asked.name:
        case "adam":
            return made.Adam(rate)
        case "adamw":
            return made.AdamW(rate, weight_decay=0.004 if asked.weight_decay is None else asked.weight_decay)
        case "rmsprop":
            return made.RMSprop(rate, momentum=asked.momentum)
        case "sgd":
            decay = asked.weight_decay or None
            return made.SGD(rate, momentum=asked.momentum, nesterov=asked.nesterov, weight_decay=decay)


def _rate(keras: Any, budget: Fit, steps: int) -> Any:
    """A number, or the learning rate as a function of the step."""
    asked, rate, schedules = budget.schedule, budget.learning_rate, keras.optimizers.schedules
    match asked.name:
        case "constant":
            return rate
        case "cosine":
            warmup = asked.warmup_epochs * steps
            falling = budget.epochs * steps - warmup
            if not warmup:
                return schedules.CosineDecay(rate, falling, alpha=asked.floor)
            return schedules.CosineDecay(0.0, falling, alpha=asked.floor, warmup_target=rate, warmup_steps=warmup)
        case "exponential":
            return schedules.ExponentialDecay(rate, steps, asked.factor, staircase=True)
        case "steps":
            rates = [rate * asked.factor**index for index in range(len(asked.epochs) + 1)]
            return schedules.PiecewiseConstantDecay([epoch * steps - 1 for epoch in asked.epochs], rates)
