"""What a notebook's page shows: the outcome of a check, pictures and sentences, the card to share.

Anything of the course may import it; it imports nothing of the course.
"""
