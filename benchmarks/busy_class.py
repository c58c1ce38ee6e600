"""Does a class get the same points on a busy machine, while one submission waits for a minute in a call?

python benchmarks/busy_class.py [--students 30] [--burners 6] [--seconds 55] [--rounds 2]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "helpers"), str(ROOT / "tests" / "course")]

from busy import burning  # noqa: E402
from classroom import NOTEBOOKS, Classroom, solutions  # noqa: E402

from autograder.authoring.sources import to_notebook  # noqa: E402
from autograder.grading.grade import Submission, grade  # noqa: E402

PHASE = "phase2_techniques"
WAITS = "_once = []\n{answer}\n\n_{name} = {name}\n\n\ndef {name}(*given):\n    import time\n    if not _once:\n"
WAITS += "        _once.append(1)\n        time.sleep({seconds})\n    return _{name}(*given)\n"


def told(submissions: list[Submission]) -> dict[str, tuple[float, bool]]:
    """Student -> points and whether flagged."""
    return {s.student: (s.points, bool(s.review) or bool(s.failure)) for s in submissions}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--students", type=int, default=30)
    parser.add_argument("--burners", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=55.0, help="that one call waits")
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rounds = []
        for number in range(arguments.rounds + 1):
            room = Classroom.with_notebook(NOTEBOOKS[PHASE], Path(folder, f"course{number}"))
            right = solutions(to_notebook(NOTEBOOKS[PHASE]))
            for student in range(arguments.students):
                room.hand_in(
                    f"s{student:02}", PHASE, right | {"cubic_sparsity": f"{right['cubic_sparsity']}\n# {student}"}
                )
            answer = WAITS.format(answer=right["magnitude_mask"], name="magnitude_mask", seconds=arguments.seconds)
            room.hand_in("waits", PHASE, right | {"magnitude_mask": answer})
            if number == 0:
                rounds.append(told(grade(room.root)))
            else:
                with burning(arguments.burners):
                    rounds.append(told(grade(room.root)))
            points = sorted({p for p, _ in rounds[-1].values()})
            print(f"{'busy' if number else 'idle'}: points {points}, {sum(f for _, f in rounds[-1].values())} flagged")
    assert all(one == rounds[0] for one in rounds), "not the same on a busy machine"
    print("the same points, and the same flags")


if __name__ == "__main__":
    main()
