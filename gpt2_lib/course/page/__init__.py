"""The parts of a notebook's page: outcomes of checks, figures, the card to share, the button that grades.

Anything of the course may import it; it imports nothing of the course.
"""
