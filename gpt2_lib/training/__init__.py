"""One training step: the loss, its gradient and the update. `train` has the runs that are made of such steps."""
