"""Pruning: scores, masks, schedules, surgery and the pruner. It may import the model and storage/."""
