"""Whose a file is: what a learner chooses never decides.

Only numbers that a platform itself writes, and the class list, which is the instructor's, tell who somebody is. A name
finds somebody only where there is no number to go by, on the platform or on the class list, and where one person alone
has it; the report says so. Names of groups find nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from ..text import plain
from .class_list import ClassList, Learner, keys, same, squashed, words
from .platforms.moodle import without_group
from .platforms.place import Person, Place, Readings
from .regular import Refused

SHOWN = 5  # people in a sentence
NAMED = {"Moodle": "moodle", "Canvas": "canvas", "GitHub": "github"}  # the class list's column of a system's numbers


def alike(name: str) -> str:
    """Return one spelling for all names that a reader takes for the same: width, case, spaces, order of the words."""
    return " ".join(words(name))


def counted(people: Iterable[Person]) -> Counter[str]:
    """Return {name in one spelling: how many people have it}."""
    return Counter(alike(person.name) for person in people)


def numbers(one: Learner, system: str, assignment: str) -> set[str]:
    """Return the texts by which a system may identify a learner, as far as the class list has them; else the id."""
    if system == "Moodle":
        return {one.participant(assignment)} - {""}
    if system in NAMED:
        return {same(getattr(one, NAMED[system]))} - {""}
    return {same(text) for text in (one.number, one.login, one.email) if text} or {same(one.id)}


def find(people: ClassList, person: Person, assignment: str, names: Mapping[str, int]) -> str:
    """Return the id of a person that a platform names; "" if none or several learners match.

    ``names``: how many people of each name submit, as `counted` returns it.
    """
    if told := {same(text) for text in person.told}:
        found = [one for one in people.learners if told & numbers(one, person.system, assignment)]
    else:
        found = named(people, person.name) if names.get(alike(person.name), 0) <= 1 else []
    return found[0].id if len(found) == 1 else ""


def by_name(people: ClassList, person: Person, assignment: str, names: Mapping[str, int]) -> str:
    """Return the id of the one learner of a name, where the class list has no number of theirs on Moodle or Canvas.

    "" where somebody else of the name submits, or is on the list. Moodle may put a group's name in front.
    """
    member = without_group(person.name) if person.system == "Moodle" else ""
    for name in filter(None, (person.name, member)):
        others = names.get(alike(name), 0) - (name == person.name)
        found = [one for one in people.learners if agrees(replace(person, name=name), [one.name])]
        if len(found) == 1 and others <= 0 and not numbers(found[0], person.system, assignment):
            return found[0].id
    return ""


def named(people: ClassList, name: str) -> list[Learner]:
    """Return the learners of a name."""
    wanted = words(name)
    return [one for one in people.learners if wanted and words(one.name) == wanted]


def namesakes(people: ClassList, person: Person, assignment: str) -> list[str]:
    """Return the ids of those whom a person's name may mean, and who have no other number on the platform."""
    found = []
    for one in people.learners:
        if person.system in NAMED and person.number and numbers(one, person.system, assignment):
            continue
        chosen = {same(text) for text in keys(one)} if person.system == "GitHub" else set()
        if agrees(person, [one.name]) or same(person.name) in chosen:
            found.append(one.id)
    return found


def agrees(person: Person, names: Iterable[str]) -> bool:
    """Return whether a platform's name of a person is one of these: Canvas writes "lovelaceada" for Ada Lovelace."""
    shown = alike(person.name), squashed(person.name)
    for name in names:
        joined = _joined(name) if person.system == "Canvas" else set()
        if (shown[0] and shown[0] == alike(name)) or (shown[1] and shown[1] in joined):
            return True
    return False


def _joined(name: str) -> set[str]:
    """Return a name as Canvas may write it: nobody knows at which word the last name begins, which comes first."""
    parts = name.split()
    return {squashed("".join((*parts[at:], *parts[:at]))) for at in range(len(parts))}


def settled(
    readings: Readings, known_as: Callable[[Person], Collection[str]], shown: Callable[[Person], str]
) -> Place | Refused:
    """Return the one reading of a file's name that can't be somebody else's doing.

    ``known_as(person)`` are the names under which a number is known, none for an unknown number. Of several readings
    with different owners, the one counts whose number is known and whose name agrees with it, if it is the only one,
    and if no known number stands after it: a name in front is chosen as freely as a file's name behind.
    """
    places = readings.places
    if len({(place.person.number, place.late) for place in places}) == 1:
        return next((place for place in places if agrees(place.person, known_as(place.person))), places[-1])
    known = [place for place in places if known_as(place.person)]
    agreeing = [place for place in known if agrees(place.person, known_as(place.person))]
    lateness = {place.late for place in known if agreeing and place.person.number == agreeing[-1].person.number}
    if len({place.person.number for place in agreeing}) == len(lateness) == 1 and known[-1] is agreeing[-1]:
        return agreeing[-1]
    return Refused(
        f"its name can be read as of {_claims(known or list(places), shown)}, since a person or a file is named with "
        "numbers: look up on the platform whose it is, and collect it in a folder with that learner's id"
    )


def _claims(places: Sequence[Place], shown: Callable[[Person], str]) -> str:
    """Return whose a file may be, for a sentence."""
    people = {place.person.number: shown(place.person) for place in places}
    told = [plain(f"{who} ({number})" if who != number else who, 80) for number, who in people.items()]
    if len(told) == 1:
        told = (
            [f"{told[0]}, on time", "late"]
            if len({place.late for place in places}) > 1
            else [*told, "of somebody else"]
        )
    return " or ".join([*told[:SHOWN], *([f"{len(told) - SHOWN} more"] if len(told) > SHOWN else [])])
