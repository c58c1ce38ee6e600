"""One step of training: what computes the loss and moves the weights. `train` has the runs that take such steps."""
