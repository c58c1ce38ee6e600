"""What is wrong with a learner's answer: an error in plain words, a measured latency that can't be.

The checks and the lesson's helpers import it; it imports `own_work` alone of the course.
"""
