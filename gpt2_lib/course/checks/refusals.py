"""What the checks of several exercises ask of a sparsity that is no fraction."""

from __future__ import annotations


def refused(answer, weights, sparsity):
    """Assert that ``answer(weights, sparsity)`` raises ValueError."""
    try:
        came = answer(weights, sparsity)
    except ValueError:
        return
    except NotImplementedError:  # a helper that is not written yet
        raise
    except AssertionError:
        fault = "an assert stopped it. `raise ValueError(...)` is asked for."
    except Exception as error:
        fault = f"{type(error).__name__}: {error} came. Look at the sparsity before anything else."
    else:
        kind = came if isinstance(came, type) else type(came)
        fault = f"a {kind.__name__} came back. A wrong number should be told at once, not guessed at."
        if issubclass(kind, BaseException):
            fault = f"a {kind.__name__} was returned. An error is raised: `raise ValueError(...)`, not `return`."
    raise AssertionError(f"Sparsity {sparsity} is no fraction from 0 to 1: a ValueError was expected, {fault}")
