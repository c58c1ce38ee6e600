"""What every program needs of its machine: processors, seconds, and commands that end well. Nothing of models."""
