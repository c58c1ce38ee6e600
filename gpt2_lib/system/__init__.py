"""What every program needs of its machine: commands that end well, seconds, processors. Nothing of models."""
