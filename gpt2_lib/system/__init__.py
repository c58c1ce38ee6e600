"""What every program needs of its machine: whole files, processors, seconds, and commands that end well. No models."""
