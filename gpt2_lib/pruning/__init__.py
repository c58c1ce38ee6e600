"""Which weights go, and how: scores, masks, schedules, surgery. It may import the model and storage/."""
