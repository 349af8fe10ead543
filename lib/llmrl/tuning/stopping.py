r"""Early stopping: end a run when the loss on text it does not learn has stopped falling, and keep the best weights.

The training loss of a small set falls as long as one trains. The loss on a validation set falls, stands, and rises
again; with patience p a run ends once p measurements in a row have not gone below the best by at least a little. What
is kept are the weights of the best measurement, not of the last. Whoever stops by a validation set has used it: the
final number has to come from a third set. Left out: smoothing a noisy loss, a learning rate that falls instead.
"""

import math


def stop_at(losses, patience, least=0.0):
    """(best, last): the measurement with the loss to keep, and the one after which a run ends.  Counted from 0

    Only a fall by more than `least` below the best so far counts as progress.
    """
    _check(patience, least)
    best, lowest = 0, math.inf
    for at, loss in enumerate(losses):
        if loss < lowest - least:  # never true of nan
            best, lowest = at, loss
        elif at - best >= patience:
            return best, at
    if lowest == math.inf:
        raise ValueError(f"losses must hold a finite number or more, got {list(losses)[:5]}: measure at least once")
    return best, len(losses) - 1


class Keeper:
    """Watches a run: `over(loss)` says whether to stop; `restore()` puts the best weights back into the model."""

    def __init__(self, model, patience, least=0.0):
        _check(patience, least)
        self.model, self.patience, self.least, self.losses, self.weights = model, patience, least, [], None

    def over(self, loss):
        """Note the loss of a measurement, keep the weights if it is the best, and say whether patience is at an end."""
        self.losses.append(float(loss))
        if not any(map(math.isfinite, self.losses)):
            return False
        best, last = stop_at(self.losses, self.patience, self.least)
        if best == len(self.losses) - 1:
            self.weights = {name: x.detach().clone() for name, x in self.model.state_dict().items()}
        return last - best >= self.patience

    def restore(self):
        """Give the model its best weights; returns the number of that measurement."""
        if self.weights is None:
            raise ValueError("no finite loss was noted yet, so there are no best weights: call over(loss) first")
        self.model.load_state_dict(self.weights)
        return stop_at(self.losses, self.patience, self.least)[0]


def _check(patience, least):
    if not isinstance(patience, int) or isinstance(patience, bool) or patience < 1:
        raise ValueError(f"patience must be a whole number of at least 1, got {patience!r}: 3 is a common choice")
    if not 0 <= least < math.inf:
        raise ValueError(f"least must be a number of 0 or more, got {least!r}: 0 counts every fall as progress")
