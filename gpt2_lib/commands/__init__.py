"""The command line for one's own model and text, a file a command; it may import every room but course/."""
