"""``gpt2-pruning completion``: a script with which bash and zsh complete commands, options and their values.

It is read once, when a shell starts: asking Python at each press of the key would import PyTorch each time.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from ..system.extras import MissingExtraError
from .arguments import parser_of
from .listing import COMMANDS, module_of

SCRIPT = """\
# Completion of gpt2-pruning, for bash, and for zsh after: autoload -U +X bashcompinit && bashcompinit
_gpt2_pruning() {{
    local words
    case "$COMP_CWORD:${{COMP_WORDS[1]}}" in
        1:*) words="{commands}" ;;
{cases}
    esac
    COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _gpt2_pruning gpt2-pruning
"""  # -o default: where no word fits, the names of files


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's options."""
    found = parser_of("completion", "Print a script that completes this command, for bash and zsh.")
    found.epilog = "for bash: gpt2-pruning completion >> ~/.bash_completion"
    return found


def main(argv: Sequence[str]) -> None:
    """The command ``completion``."""
    parser().parse_args(argv)
    cases = [f'        *:{command}) words="{" ".join(words_of(command))}" ;;' for command in COMMANDS]
    print(SCRIPT.format(commands=" ".join(COMMANDS), cases="\n".join(cases)), end="")


def words_of(command: str) -> Iterator[str]:
    """Yield the options of a command and the values to choose from; none if the command needs a missing extra."""
    try:
        actions = module_of(command).parser()._actions
    except MissingExtraError:
        return
    for action in actions:
        yield from (option for option in action.option_strings if option.startswith("--"))
        yield from map(str, action.choices or ())
