"""From a pruned model to where it runs: one file a target. Nothing here needs its extra until it is called."""
