"""Options, told once in a table and read in two ways.

The quick way reads a correct command line without argparse, whose import alone would take as long as
`numen detach` may take in all. Help, and the words for a mistake, come from argparse, which is built from the
same table. A property test holds the two together.
"""

from __future__ import annotations

from ..errors import BadOption
from ..record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Callable, Sequence
    from typing import Any


class Option(Record):
    """One option of a command."""

    flags: tuple[str, ...]
    """The long one first."""
    help: str
    metavar: tuple[str, ...] = ()
    """The names of its values; none for a switch."""
    convert: Callable[[str], Any] = str
    """Makes the value of what was written; for an option with two values, of the first. Raises BadOption."""
    repeated: bool = False
    """Whether it may be given several times; its value is then a list."""
    group: str = "options"

    @property
    def name(self) -> str:
        """The name by which its value is had."""
        return self.flags[0].lstrip("-").replace("-", "_")


class Table(Record):
    """The options of one command, and the words around them."""

    command: str
    usage: tuple[str, ...]
    description: str
    epilog: str
    options: tuple[Option, ...]

    def read(self, arguments: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
        """The values of the options by name, and what stands behind them.

        Ends the process after help, or after a complaint with exit status 2. Raises BadOption for a value.
        """
        found = read_quickly(self.options, arguments)
        return self.read_slowly(arguments) if found is None else found

    def read_alone(self, arguments: Sequence[str]) -> dict[str, Any]:
        """The values of the options, behind which nothing may stand. Raises BadOption."""
        values, words = self.read(arguments)
        if words:
            raise BadOption(f"{words[0]!r} means nothing here: numen {self.command} takes options only")
        return values

    def read_slowly(self, arguments: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
        """The same by argparse: it gives help, says what is wrong, and knows rare forms such as `-eNAME=VALUE`."""
        options_part, command = split(self.options, arguments)
        parser = self.parser()
        found, unknown = parser.parse_known_args(options_part)
        if unknown:
            from .words import did_you_mean

            flag = unknown[0].partition("=")[0]
            known = [flag for option in self.options for flag in option.flags]
            parser.error(f"there is no option {flag}{did_you_mean(flag, known)}")
        values = vars(found)
        for option in self.options:
            given = values[option.name]
            # argparse takes the dashes of `-e--` for the end of the options, and is left with no value.
            if option.metavar and given is not None and [] in (given, *given):
                parser.error(f"argument {'/'.join(option.flags)}: expected one argument")
            if option.repeated:
                values[option.name] = [_converted(option, one) for one in given or ()]
            elif option.metavar and given is not None:
                values[option.name] = _converted(option, given)
        return values, command

    def parser(self) -> ArgumentParser:
        """The same table as a parser of the standard library."""
        import argparse

        parser = argparse.ArgumentParser(
            prog=f"numen {self.command}",
            usage="\n       ".join(self.usage),
            description=_wrapped(self.description),
            epilog=_wrapped(self.epilog),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        groups = {"options": parser}
        for option in self.options:
            if option.group not in groups:
                groups[option.group] = parser.add_argument_group(option.group)  # type: ignore[assignment]
            more: dict[str, Any] = {"action": "store_true"}
            if option.metavar:
                nargs = len(option.metavar) if len(option.metavar) > 1 else None
                action = "append" if option.repeated else "store"
                metavar = option.metavar if nargs else option.metavar[0]
                more = {"action": action, "nargs": nargs, "metavar": metavar}
            help_text = option.help.replace("%", "%%")
            groups[option.group].add_argument(*option.flags, dest=option.name, help=help_text, **more)
        return parser


def _wrapped(text: str) -> str:
    """Text for people, as wide as the terminal; its examples stay as they are."""
    import shutil
    import textwrap

    width = shutil.get_terminal_size().columns - 2
    paragraphs = text.split("\n\n")
    return "\n\n".join(
        one
        if one.startswith("examples:")
        else textwrap.fill(one, max(width, 11), break_long_words=False, break_on_hyphens=False)
        for one in paragraphs
    )


def split(options: Sequence[Option], arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments up to the command, and the command: it begins after `--` or at the first that is no option."""
    by_flag = {flag: option for option in options for flag in option.flags}
    index = 0
    while index < len(arguments):
        argument = arguments[index]
        if argument == "--":
            return list(arguments[:index]), list(arguments[index + 1 :])
        if not argument.startswith("-") or argument == "-":
            break
        option = by_flag.get(argument)
        index += 1 + (len(option.metavar) if option else 0)
    return list(arguments[:index]), list(arguments[index:])


def read_quickly(options: Sequence[Option], arguments: Sequence[str]) -> tuple[dict[str, Any], list[str]] | None:
    """The values and the command; `None` for what argparse has to explain. Raises BadOption for a value."""
    by_flag = {flag: option for option in options for flag in option.flags}
    values: dict[str, Any] = {one.name: [] if one.repeated else None if one.metavar else False for one in options}
    options_part, command = split(options, arguments)
    rest = list(reversed(options_part))
    while rest:
        flag, separator, value = rest.pop().partition("=")
        option = by_flag.get(flag)
        if option is None or (separator and (len(option.metavar) != 1 or not flag.startswith("--"))):
            return None
        if not option.metavar:
            values[option.name] = True
            continue
        if not separator:
            given = [rest.pop() for _ in option.metavar if rest]
            # What looks like an option is none's value: it would hide a forgotten one.
            if len(given) < len(option.metavar) or any(_looks_like_option(one) for one in given):
                return None
            converted = _converted(option, given if len(given) > 1 else given[0])
        else:
            converted = _converted(option, value)
        if option.repeated:
            values[option.name].append(converted)
        else:
            values[option.name] = converted
    return values, command


def _looks_like_option(text: str) -> bool:
    return text.startswith("-") and text != "-" and not _is_number(text)


def _is_number(text: str) -> bool:
    return text[1:].isascii() and text[1:].isdigit()


def _converted(option: Option, given: str | Sequence[str]) -> Any:
    """What was written, converted; where the option has several values, the first of them is."""
    value, *more = [given] if isinstance(given, str) else given
    try:
        converted = option.convert(value)
    except BadOption as error:
        raise BadOption(f"option {option.flags[0]}: {error}") from None
    return (converted, *more) if more else converted


def whole_number(lowest: int, highest: int) -> Callable[[str], int]:
    """A converter to a whole number between two bounds."""

    def convert(text: str) -> int:
        sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text)
        # int() refuses numbers of thousands of digits with another error.
        is_number = digits.isascii() and digits.isdigit() and len(digits) <= 20
        if not is_number or not lowest <= sign * int(digits) <= highest:
            raise BadOption(f"{text!r} is no whole number from {lowest} to {highest}")
        return sign * int(digits)

    return convert


def one_of(*words: str) -> Callable[[str], str]:
    """A converter that takes these words only."""

    def convert(text: str) -> str:
        if text not in words:
            raise BadOption(f"{text!r} is none of {', '.join(words)}")
        return text

    return convert


def kept_capabilities(names: Sequence[str]) -> tuple[str, ...] | None:
    """What --capability asks for: `None` where it was not given; its word `none` is no name."""
    return tuple(one for one in names if one.lower() != "none") if names else None
