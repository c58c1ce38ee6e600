"""The command line for a user's own model and text, one file a command; it may import every folder but course/."""
