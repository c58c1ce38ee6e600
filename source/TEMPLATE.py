# %% [markdown]
# # A notebook with one exercise
#
# **<<minutes>> minutes · <<points>> points**. To copy: CONTRIBUTING.md says where to, and what else an exercise needs.

# %% locked="setup" jupyter={"source_hidden": true}
# Set-up: imports, and the line that fills as your checks pass
from gpt2_lib.course import checks as check
from gpt2_lib.course.progress import progress

points = "<<checks>>"
progress.begin("Template", points)

# %% [markdown] minutes=5
# ## 1 · Scale: every number times a factor
# *difficulty ★☆☆ · <<minutes 1>> minutes · <<points 1>> points*
#
# Why it matters, in a sentence. Then an example so small that it can be worked out by hand: $[1, -2]$ times 3 is $[3, -6]$.
#
# <b class="gpt2-yours">✎ Write it here</b>


# %% exercise="scale"
def scale(numbers: list[float], factor: float) -> list[float]:
    """Each number times the factor.

    numbers: any finite numbers, none or more; only looked at, never changed
    returns: a new list of the same length
    """
    ### BEGIN SOLUTION
    return [number * factor for number in numbers]
    ### END SOLUTION


# %% tests="scale_values" points=2
check.scale_values(scale)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    for count in (0, 1, 7):
        numbers = [draw.random.uniform(-9, 9) for _ in range(count)]
        got = scale([*numbers], 4.0)
        assert got == [number + number + number + number for number in numbers], (
            f"4 times {numbers} came back as {got}."
        )
### END HIDDEN TESTS

# %% tests="scale_care" points=1
check.scale_care(scale)
### BEGIN HIDDEN TESTS
with check.hidden():
    given = [0.5, 0.25]
    assert scale(given, 2.0) == [1.0, 0.5], "2 times [0.5, 0.25] is [1, 0.5]."
    assert given == [0.5, 0.25], f"scale() changed the list it was given, to {given}."
### END HIDDEN TESTS
