"""Reader of a training run's log: CSV with a header, or a JSON list of objects."""

from __future__ import annotations

import csv
import io
import json
import math

COLUMNS = ("step", "sparsity", "loss", "accuracy")
MOST_ROWS = 10_000


def read_log(data: bytes) -> list[dict[str, float]]:
    """Return the log's rows with the COLUMNS as numbers, from CSV with a header or a JSON list of objects."""
    try:
        text = data.decode("utf-8-sig")
        found = json.loads(text) if text.lstrip().startswith("[") else list(csv.DictReader(io.StringIO(text)))
        rows = [{name: float(row[name]) for name in COLUMNS} for row in found[: MOST_ROWS + 1]]
    except KeyError as error:
        raise AssertionError(f"The log has no column {error}; it needs {', '.join(COLUMNS)}.") from error
    except Exception as error:  # the parsers may raise any error for a file that is no log
        raise AssertionError(
            f"The log can't be read ({type(error).__name__}: {str(error)[:200]}). It is CSV with the header "
            f"{','.join(COLUMNS)}, or a JSON list of objects with these keys."
        ) from error
    if not 2 <= len(rows) <= MOST_ROWS:
        raise AssertionError(f"The log has {len(rows)} rows; from 2 to {MOST_ROWS} are read.")
    for number, row in enumerate(rows, start=1):
        if not all(map(math.isfinite, row.values())):
            raise AssertionError(f"Row {number} of the log has an entry that is NaN or infinite.")
        for name in ("sparsity", "accuracy"):
            if not 0 <= row[name] <= 1:
                percent = ", not percent" if 1 < row[name] <= 100 else ""
                raise AssertionError(
                    f"Row {number} of the log: {name} is a share from 0 to 1{percent}; {row[name]:g} is there."
                )
    return rows
