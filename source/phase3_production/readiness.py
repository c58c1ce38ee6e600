# %% [markdown] minutes=3
# ## 3.5 · Readiness: five questions
# *difficulty ★☆☆ · <<minutes 3.5>> minutes · <<points 3.5>> points*
#
# A point each. Choose, then run the cell below the questions, which takes your choices down (or write the letters there
# yourself, as in `return {1: "a", 2: "b"}`). The checks tell why.

# %% locked="questions"
ask()

# %% [markdown]
# <b class="gpt2-yours">✎ Your choices</b>


# %% exercise="readiness" key="cadbc"
def readiness() -> dict[int, str]:
    """Your answers, a letter from a to d for each question, such as {1: "a", ...}."""
    ### BEGIN SOLUTION
    return dict(enumerate("<<key>>", start=1))
    ### END SOLUTION


# %% quiz="ready_1 ready_2 ready_3 ready_4 ready_5" points=1
check.ready_1(readiness)
### BEGIN HIDDEN TESTS
with check.hidden():
    check.right_choice("ready_1", readiness(), "<<key>>")
### END HIDDEN TESTS
