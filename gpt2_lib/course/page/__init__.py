"""What a notebook's page shows: the outcomes of checks, pictures, sentences, the card to share, the button that grades.

Anything of the course may import it; it imports nothing of the course.
"""
