"""The methods that prune in one shot: their arguments, their choice of weights, and the registry of all."""
