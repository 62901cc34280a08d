"""`numen completion`: what lets a shell complete commands, options, and the names of daemons."""

from __future__ import annotations

from importlib import import_module

from ..errors import BadOption
from .main import COMMANDS, say
from .options import Table
from .words import read_mixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .options import Option

TABLE = Table(
    command="completion",
    usage=("numen completion bash|zsh|fish",),
    description="Print a script by which the shell completes the commands of numen, their options,\n"
    "and the names of daemons.",
    epilog="""examples:
  eval "$(numen completion bash)"           in ~/.bashrc
  numen completion zsh > ~/.zsh/_numen      in a directory of fpath
  numen completion fish | source            in ~/.config/fish/config.fish

exit statuses: 0 done, 2 bad option""",
    options=(),
)

RUNNING_ANY = ("detach", "start")
"""Commands behind whose two dashes stands a command line of its own."""

NAMING = (
    *("start", "status", "describe", "logs", "stop", "run", "restart", "reload", "remove", "enable", "disable", "wait"),
    "events",
    "edit",
)
"""Commands whose words are names of daemons; of `signal` they are from the second on."""

READING = ("check", "apply", "down")
"""Commands whose words are files."""

WORDS = {
    "--color": "auto always never",
    "--fail-on": "fault warning unknown never",
    "--for": "running stopped",
    "--ready": "exec notify fd:3",
    "--restart": "always on-failure never",
    "--children": "default ignore",
    "--stdin": "null",
}
"""What may stand behind an option, where that is one of a few words."""

SIGNALS = "HUP INT QUIT USR1 USR2 TERM KILL STOP CONT WINCH"


def run(arguments: Sequence[str]) -> int:
    """Run `numen completion`; the exit status. Raises BadOption."""
    _, words = read_mixed(TABLE, arguments)
    if len(words) != 1 or words[0] not in SCRIPTS:
        raise BadOption("for which shell? Write one: numen completion bash, zsh or fish")
    say(SCRIPTS[words[0]]())
    return 0


def tables() -> dict[str, Table]:
    """The options of every command, by its name."""
    return {name: import_module(f"{__package__}.{name}").TABLE for name in COMMANDS}


def kind(option: Option) -> str:
    """What stands behind an option: `none` for a switch, `words`, `file`, `directory`, `signal`, or `any`."""
    if not option.metavar:
        return "none"
    if option.flags[0] in WORDS:
        return "words"
    return {"FILE": "file", "DIR": "directory", "SIGNAL": "signal"}.get(option.metavar[0], "any")


def _of_kind(*kinds: str) -> str:
    """All flags, of whatever command, behind which something of these kinds stands, as a pattern of `case`."""
    found = {flag for table in tables().values() for one in table.options if kind(one) in kinds for flag in one.flags}
    return "|".join(sorted(found))


def _bash() -> str:
    options = "\n".join(
        f"        {name}) options='{' '.join([*_flags(table), '--help'])}' ;;" for name, table in tables().items()
    )
    words = "\n".join(f"        {flag}) words='{value}' ;;" for flag, value in WORDS.items())
    return f"""# bash completion for numen; made by `numen completion bash`
_numen_names() {{
    "$1" status --names 2> /dev/null
}}
_numen() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} command=${{COMP_WORDS[1]}}
    local options= words= index
    COMPREPLY=()
    if (( COMP_CWORD == 1 )); then
        COMPREPLY=($(compgen -W '{" ".join(COMMANDS)} --help --version' -- "$word"))
        return
    fi
    for (( index = 2; index < COMP_CWORD; index++ )); do
        if [[ ${{COMP_WORDS[index]}} == -- ]]; then
            if declare -F _command_offset > /dev/null; then
                _command_offset $((index + 1))
            else
                COMPREPLY=($(compgen -c -- "$word") $(compgen -f -- "$word"))
            fi
            return
        fi
    done
    case $before in
        {_of_kind("file")}) compopt -o filenames; COMPREPLY=($(compgen -f -- "$word")); return ;;
        {_of_kind("directory")}) compopt -o filenames; COMPREPLY=($(compgen -d -- "$word")); return ;;
        {_of_kind("signal")}) words='{SIGNALS}' ;;
{words}
        {_of_kind("any")}) return ;;
    esac
    case $command in
{options}
        *) return ;;
    esac
    if [[ -n $words ]]; then
        :
    elif [[ $word == -* ]]; then
        words=$options
    else
        case $command in
            signal) if (( COMP_CWORD == 2 )); then words='{SIGNALS}'; else words=$(_numen_names "$1"); fi ;;
            logs) words="numen $(_numen_names "$1")" ;;
            {"|".join(NAMING)}) words=$(_numen_names "$1") ;;
            completion) words='bash zsh fish' ;;
            scale) words=$(_numen_names "$1" | sed -n 's/@[0-9]*$/=/p' | sort -u); compopt -o nospace ;;
            {"|".join(READING)}) compopt -o filenames; COMPREPLY=($(compgen -f -- "$word")); return ;;
            *) words=$options ;;
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
    if [[ $word == *:* ]] && declare -F __ltrim_colon_completions > /dev/null; then
        __ltrim_colon_completions "$word"
    fi
}}
complete -F _numen numen"""


def _zsh() -> str:
    commands = "\n".join(f"        {_quoted(f'{name}:{what}')}" for name, what in COMMANDS.items())
    cases = "\n".join(f"        {name}) {_zsh_arguments(name, table)} ;;" for name, table in tables().items())
    return f"""#compdef numen
# zsh completion for numen; made by `numen completion zsh`
_numen_names() {{
    compadd "$@" -- ${{(f)"$(numen status --names 2> /dev/null)"}}
}}
_numen_several() {{
    compadd -S = "$@" -- ${{(fu)"$(numen status --names 2> /dev/null | sed -n 's/@[0-9]*$//p')"}}
}}
_numen_logs() {{
    compadd "$@" -- numen ${{(f)"$(numen status --names 2> /dev/null)"}}
}}
_numen() {{
    local -a commands
    commands=(
{commands}
    )
    if (( CURRENT == 2 )); then
        _describe command commands
        return
    fi
    shift words
    (( CURRENT-- ))
    case $words[1] in
{cases}
    esac
}}
if [[ $funcstack[1] == _numen ]]; then
    _numen "$@"
else
    compdef _numen numen
fi"""


def _zsh_arguments(name: str, table: Table) -> str:
    specs = []
    for option in table.options:
        for flag in option.flags:
            text = option.help.replace("[", "(").replace("]", ")").replace(":", " ")
            spec = f"{'*' if option.repeated else ''}{flag}[{text}]"
            specs.append(spec + "".join(f":{one.lower()}:{_zsh_action(option)}" for one in option.metavar))
    specs.append("--help[show help]")
    if name in RUNNING_ANY:
        specs.append("*::command:_normal" if name == "detach" else "*:name:_numen_names")
    elif name == "signal":
        specs += [f"1:signal:({SIGNALS})", "*:name:_numen_names"]
    elif name == "completion":
        specs.append("1:shell:(bash zsh fish)")
    elif name == "scale":
        specs.append("*:name:_numen_several")
    elif name == "logs":
        specs.append("*:name:_numen_logs")
    elif name in READING:
        specs.append("*:file:_files")
    elif name in NAMING:
        specs.append("*:name:_numen_names")
    return "_arguments " + " ".join(map(_quoted, specs))


def _zsh_action(option: Option) -> str:
    actions = {"file": "_files", "directory": "_files -/", "signal": f"({SIGNALS})", "any": " "}
    return f"({WORDS[option.flags[0]]})" if kind(option) == "words" else actions[kind(option)]


def _fish() -> str:
    lines = [
        "# fish completion for numen; made by `numen completion fish`",
        "complete -c numen -f",
        *(f"complete -c numen -n __fish_use_subcommand -a {one} -d {_quoted(what)}" for one, what in COMMANDS.items()),
    ]
    names = "'(numen status --names 2> /dev/null)'"
    for name, table in tables().items():
        lines += [f"{_fish_seen(name)} {_fish_option(one)} -d {_quoted(one.help)}" for one in table.options]
        if name in RUNNING_ANY:
            lines.append(f"{_fish_seen(name)} -a '(__fish_complete_subcommand --fcs-skip=2)'")
        if name in NAMING:
            lines.append(f"{_fish_seen(name)} -a {names}")
        if name in READING:
            lines.append(f"{_fish_seen(name)} -F")
    lines.append(f"{_fish_seen('signal')} -a '{SIGNALS}'")
    lines.append(f"{_fish_seen('signal')} -a {names}")
    lines.append(f"{_fish_seen('logs')} -a numen")
    several = r"'(numen status --names 2> /dev/null | string replace -rf \'@[0-9]+$\' = | sort -u)'"
    lines.append(f"{_fish_seen('scale')} -a {several}")
    lines.append(f"{_fish_seen('completion')} -a 'bash zsh fish'")
    return "\n".join(lines)


def _fish_seen(command: str) -> str:
    return f"complete -c numen -n '__fish_seen_subcommand_from {command}'"


def _fish_option(option: Option) -> str:
    words = [f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in option.flags]
    match kind(option):
        case "none":
            pass
        case "words":
            words.append(f"-x -a '{WORDS[option.flags[0]]}'")
        case "signal":
            words.append(f"-x -a '{SIGNALS}'")
        case "file":
            words.append("-r -F")
        case "directory":
            words.append("-x -a '(__fish_complete_directories)'")
        case _:
            words.append("-x")
    return " ".join(words)


def _flags(table: Table) -> Iterator[str]:
    for option in table.options:
        yield from option.flags


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


SCRIPTS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
