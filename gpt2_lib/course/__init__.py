"""What the notebooks need: checks, progress, widgets, experiments. It may import all else; nothing imports it."""
