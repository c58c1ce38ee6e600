"""From the percent masters in source/ to the notebooks that learners get; the instructor runs it."""
