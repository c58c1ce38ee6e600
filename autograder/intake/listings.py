"""Lists of people from learning platforms, for the class list.

Moodle: Participants > Download table data as CSV, or an assignment's Download grading worksheet
(docs.moodle.org/en/Assignment_FAQ; the columns are those of mod/assign/gradingtable.php), in English.
Canvas: Grades > Export (Canvas Instructor Guide, "How do I export grades in the Gradebook?"; the columns are those of
lib/gradebook_exporter.rb), and a group set's CSV (People > the group set > Download Course Roster CSV; Canvas's "Group
Categories CSV Format").
Else a table with columns such as name, e-mail, number, group.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace

from ..text import plain
from .class_list import MAX_TEXT, Learner, check_alone, check_id, check_texts, one_group, one_line, same, words
from .group_names import SEVERAL, groups_of, marked, told_apart, written
from .tables import Table, TableError

WORKSHEET, GRADEBOOK, GROUP_SET, PARTICIPANTS, BY_HAND = (
    "Moodle's grading worksheet",
    "Canvas's gradebook",
    "Canvas's group set",
    "Moodle's participants",
    "a list of names",
)
NAMES = {  # what may stand at the head of a column, by what it holds
    "id": ("id", "student", "student id", "student_id"),
    "first_name": ("first name", "first_name", "firstname", "given name", "vorname", "prénom", "nombre"),
    "last_name": ("last name", "last_name", "lastname", "surname", "family name", "nachname", "nom", "apellidos"),
    "name": ("full name", "name", "student name", "vollständiger name", "nom complet"),
    "email": ("email address", "email", "e-mail", "e-mail address", "mail", "e-mail-adresse", "correo"),
    "number": (
        "id number",
        "number",
        "student number",
        "matriculation number",
        "matrikelnummer",
        "sis user id",
        "user_id",
    ),
    "login": ("username", "user name", "login", "sis login id", "anmeldename", "login_id"),
    "canvas": ("canvas", "canvas_user_id"),
    "moodle": ("moodle",),
    "github": ("github", "github_username"),
    "group": ("group", "groups", "group_name", "group name", "team", "gruppe", "gruppen", "groupe"),
}
SEPARATED = {PARTICIPANTS: ",", BY_HAND: ",;", GROUP_SET: "", WORKSHEET: "", GRADEBOOK: ""}  # between groups
STAFF = re.compile(r"teacher|manager|trainer|lehr|dozent|tutor", re.IGNORECASE)
IDENTIFIER = re.compile(r"\D*(\d+)")
MARKS = ("id", "email", "number", "login", "canvas", "moodle", "github")  # what tells people of one name apart
TEST_STUDENT = ("student test", "test student")  # Canvas's own, who stands in every gradebook


@dataclass(frozen=True)
class Listing:
    """The people of a table, with ids only where the table has them; ``left_out`` says who was left out, and why.

    ``lines`` are the lines of the people in the file, ``shared`` the names that several people in it have.
    """

    kind: str
    name: str
    people: tuple[Learner, ...]
    lines: tuple[int, ...]
    left_out: tuple[str, ...] = ()
    shared: frozenset[str] = frozenset()
    before: frozenset[str] = frozenset()  # how lists before this one may have spelled its groups
    notes: tuple[str, ...] = ()

    @property
    def groups(self) -> frozenset[str]:
        """The groups that the table names, in one spelling, with the names that they have where others read alike."""
        return self.before | {same(name) for one in self.people for name in one.groups}


def listing(table: Table, assignment: str = "") -> Listing:
    """Return the people of a table; ``assignment`` is that of a grading worksheet. Raises TableError."""
    if is_worksheet(table):
        found = _worksheet(table, assignment)
    elif is_gradebook(table):
        found = _gradebook(table)
    else:
        found = _list(table)
    if not found.people:
        raise TableError(f"There are no people in {table.name}: it needs a line for each, below its head.")
    found = _usable(found, table)
    for what in ("id", "email", "number", "login", "canvas", "moodle", "github"):
        keys = [
            (line, one.participant(assignment) if what == "moodle" and assignment else getattr(one, what))
            for line, one in zip(found.lines, found.people, strict=True)
        ]
        check_alone(keys, {"email": "e-mail", "moodle": "identifier"}.get(what, what), table.name)
    return _with_clear_groups(_told_apart(found), table)


def _usable(found: Listing, table: Table) -> Listing:
    """Return the listing without people whose cells can't be used; they are named, since people choose their names.

    Raises TableError if nobody is left, or if a cell swallowed several lines, and other people with them.
    """
    kept, left_out = [], []
    rows = dict(zip(table.lines, table.rows, strict=True))
    for line, one in zip(found.lines, found.people, strict=True):
        try:
            check_texts(one, line, table.name)
        except TableError as error:
            if any(len(cell) > MAX_TEXT and len(cell.splitlines()) > 1 for cell in rows[line]):
                raise
            left_out.append(str(error))
        else:
            kept.append((line, one))
    if not kept:
        raise TableError(left_out[0])
    lines, people = zip(*kept, strict=True)
    return replace(found, people=people, lines=lines, left_out=(*found.left_out, *left_out))


def is_worksheet(table: Table) -> bool:
    return None not in (table.column("Identifier"), table.column("Grade"))


def is_gradebook(table: Table) -> bool:
    student = table.column("Student", "LastName")
    return student == 0 and None not in (table.column("ID"), table.column("Section"))


def is_group_set(table: Table) -> bool:
    return None not in (table.column("canvas_user_id"), table.column("group_name"))


def _worksheet(table: Table, assignment: str) -> Listing:
    """Return the people of a worksheet, one a line: a name, and the e-mail if the site shows it."""
    place = table.column("Identifier")
    assert place is not None
    people, several = [], []
    for line, row in zip(table.lines, table.rows, strict=True):
        number = IDENTIFIER.fullmatch(row[place].strip())
        if number is None:
            raise TableError(
                f"Line {line} of {table.name} has no identifier such as 'Participant 123': download it anew."
            )
        said = {what: _cell(row, table.column(*NAMES[what])) for what in ("name", "email", "number", "login", "group")}
        first, _, last = said.pop("name").rpartition(" ")
        if said["group"].casefold().startswith(SEVERAL):
            several.append(f"{first} {last}".strip())
        one = Learner("", first or last, last if first else "", **{**said, "group": groups_of(said["group"])})
        people.append(one.as_participant(assignment, number[1]))
    named = f"the groups of {', '.join(several)}, who are in several: they stand in Moodle's participants"
    return Listing(WORKSHEET, table.name, tuple(people), table.lines, (named,) if several else ())


def _gradebook(table: Table) -> Listing:
    people, lines, left_out = [], [], []
    split = table.column("LastName") == 0
    places = {what: table.column(*names) for what, names in (("number", ["SIS User ID"]), ("login", ["SIS Login ID"]))}
    for line, row in zip(table.lines, table.rows, strict=True):
        number = _cell(row, table.column("ID"))
        first, last = (_cell(row, 1), _cell(row, 0)) if split else _parted(row[0])
        if not number.isdecimal():  # the points that can be had, and how grades are posted
            if "," in row[0] or (split and first):
                left_out.append(f"{first} {last} in line {line} of {table.name}, who has no ID of Canvas's")
            continue
        if " ".join(words(f"{first} {last}")) in TEST_STUDENT:
            left_out.append(f"{first} {last}, who is Canvas's own")
            continue
        said = {what: _cell(row, place) for what, place in places.items()}
        email = said["login"] if "@" in said["login"] else ""
        people.append(Learner("", first, last, email, said["number"], said["login"], number))
        lines.append(line)
    return Listing(GRADEBOOK, table.name, tuple(people), tuple(lines), tuple(left_out))


def _list(table: Table) -> Listing:
    places = {what: table.column(*names) for what, names in NAMES.items()}
    if places["name"] is None and places["last_name"] is None:
        raise TableError(
            f"{table.name} has no column of names that is known here: it has {table.shown}. Call one 'name', or two "
            "'first name' and 'last name'; a list of Moodle's has to be downloaded in English."
        )
    unused = [column for place, column in enumerate(table.columns) if place not in places.values()]
    roles = table.column("Roles", "Role")
    kind = GROUP_SET if is_group_set(table) else PARTICIPANTS if roles is not None else BY_HAND
    people, lines, left_out = [], [], []
    for line, row in zip(table.lines, table.rows, strict=True):
        said = {what: _cell(row, place) for what, place in places.items()}
        first, last = _parted(said.pop("name"))
        first, last = said.pop("first_name") or first, said.pop("last_name") or last
        if not first + last and kind != BY_HAND:
            left_out.append(f"line {line} of {table.name}, which has no name")
            continue
        if not first + last:
            raise TableError(f"Line {line} of {table.name} has no name: write it, or remove the line.")
        if STAFF.search(_cell(row, roles)):
            left_out.append(f"{first} {last} ({_cell(row, roles)})")
            continue
        if kind == GROUP_SET and " ".join(words(f"{first} {last}")) in TEST_STUDENT:
            left_out.append(f"{first} {last}, who is Canvas's own")
            continue
        check_id(said["id"], line, table.name)
        if kind == GROUP_SET and "@" in said["login"]:
            said["email"] = said["login"]
        said["group"] = groups_of(said["group"], SEPARATED[kind])
        people.append(Learner(first_name=first, last_name=last, **said))
        lines.append(line)
    if kind == BY_HAND and unused:
        left_out.append(f"the columns {', '.join(plain(column, 60) or '(no name)' for column in unused)}")
    return Listing(kind, table.name, tuple(people), tuple(lines), tuple(left_out))


def _told_apart(found: Listing) -> Listing:
    """Return the listing without those who share a name and have nothing else to distinguish them; they are named.

    Raises TableError if nobody is left.
    """
    count = Counter(_wording(one) for one in found.people)
    shared = frozenset(name for name, number in count.items() if number > 1)
    kept, left_out = [], []
    for line, one in zip(found.lines, found.people, strict=True):
        if _wording(one) in shared and not any(getattr(one, kind) for kind in MARKS):
            left_out.append(
                f"{plain(one.name)} is more than once in {found.name} (line {line}), and nothing tells who is who: "
                "add a column with their e-mail, number or id."
            )
        else:
            kept.append((line, one))
    if not kept:
        raise TableError(left_out[0])
    lines, people = zip(*kept, strict=True)
    return replace(found, people=people, lines=lines, shared=shared, left_out=(*found.left_out, *left_out))


def _wording(one: Learner) -> str:
    return " ".join(words(one.name))


def _parted(name: str) -> tuple[str, str]:
    """Return first and last name of "Lovelace, Ada" or "Ada Lovelace"."""
    name = one_line(name)
    if "," in name:
        last, _, first = name.partition(",")
        return first.strip(), last.strip()
    first, _, last = name.rpartition(" ")
    return (first, last) if first else (last, "")


def _with_clear_groups(found: Listing, table: Table) -> Listing:
    """Return the listing with a platform's groups kept apart whose names read alike, as width, case and spaces do.

    Groups differ in Canvas's number or, in Moodle's lists, in their text.
    """
    place, number = table.column(*NAMES["group"]), table.column("canvas_group_id")
    if place is None or found.kind == BY_HAND:
        return found
    rows = dict(zip(table.lines, table.rows, strict=True))
    cells = [written(rows[line][place], SEPARATED[found.kind], _cell(rows[line], number)) for line in found.lines]
    spelled = told_apart({group for groups in cells for group in groups})
    people = tuple(
        replace(one, group="; ".join(spelled[group] for group in groups)) if groups else one
        for one, groups in zip(found.people, cells, strict=True)
    )
    changed = sorted((name, new) for (name, _), new in spelled.items() if new != name)
    told = [f"{plain(name, 80)!r}, which is {plain(new, 80)!r} here" for name, new in changed]
    note = f"groups whose names read alike are kept apart: {', '.join(told)}"
    before = frozenset(same(text) for group in spelled for text in (group[0], marked(*group)))
    return replace(found, people=people, before=before, notes=(note,) if told else ())


def _cell(row: tuple[str, ...], place: int | None) -> str:
    return "" if place is None else one_line(row[place])


def with_names(one: Learner, listed: Learner, whole: bool, groups: Collection[str] = ()) -> Learner:
    """Return a learner with a listing's data; a single full name there does not replace two names.

    ``groups``: the groups whose members the listing names. The learner stays in all others.
    """
    new = {what: getattr(listed, what) for what in ("email", "number", "login", "canvas", "github")}
    if whole or not one.name:
        new |= {"first_name": listed.first_name, "last_name": listed.last_name}
    one = replace(one, **{what: text for what, text in new.items() if text})
    told = {one_group(name) for name in groups}
    stays = [name for name in one.groups if one_group(same(name)) not in told]
    one = replace(one, group="; ".join([*stays, *listed.groups]))
    for assignment, number in listed.participants.items():
        one = one.as_participant(assignment, number)
    return one
