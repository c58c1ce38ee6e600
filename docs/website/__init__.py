"""The course as a static site: what a visitor sees before installing anything. ``python -m docs.website`` builds it.

No solution and no hidden test gets in: a notebook's page is the learner's notebook, with what the executed master shows
in the cells that belong to no exercise. `tests/system/test_whole_website.py` looks for them on every page.
"""
