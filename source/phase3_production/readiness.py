# %% [markdown] minutes=2
# ## 3.5 · Readiness: five questions
# *difficulty ★☆☆ · <<minutes 3.5>> minutes · <<points 3.5>> points*
#
# A point each. Let `readiness` return a letter for each, in the form `return {1: "a", 2: "b", 3: "c", 4: "d", 5: "a"}`.

# %% locked="questions"
display(Markdown(assessment()))


# %% exercise="readiness"
def readiness() -> dict[int, str]:
    """Your answers, a letter from a to d for each question, such as {1: "a", ...}."""
    ### BEGIN SOLUTION
    return {1: "c", 2: "a", 3: "d", 4: "b", 5: "c"}
    ### END SOLUTION


# %% tests="ready_1" points=1
check.ready_1(readiness)
### BEGIN HIDDEN TESTS
with check.hidden():
    assert readiness()[1].strip().lower() == "c", (
        "Question 1: another choice is right. " + explain(1, readiness()).split("\n")[1]
    )
### END HIDDEN TESTS

# %% tests="ready_2" points=1
check.ready_2(readiness)
### BEGIN HIDDEN TESTS
with check.hidden():
    assert readiness()[2].strip().lower() == "a", (
        "Question 2: another choice is right. " + explain(2, readiness()).split("\n")[1]
    )
### END HIDDEN TESTS

# %% tests="ready_3" points=1
check.ready_3(readiness)
### BEGIN HIDDEN TESTS
with check.hidden():
    assert readiness()[3].strip().lower() == "d", (
        "Question 3: another choice is right. " + explain(3, readiness()).split("\n")[1]
    )
### END HIDDEN TESTS

# %% tests="ready_4" points=1
check.ready_4(readiness)
### BEGIN HIDDEN TESTS
with check.hidden():
    assert readiness()[4].strip().lower() == "b", (
        "Question 4: another choice is right. " + explain(4, readiness()).split("\n")[1]
    )
### END HIDDEN TESTS

# %% tests="ready_5" points=1
check.ready_5(readiness)
### BEGIN HIDDEN TESTS
with check.hidden():
    assert readiness()[5].strip().lower() == "c", (
        "Question 5: another choice is right. " + explain(5, readiness()).split("\n")[1]
    )
### END HIDDEN TESTS
