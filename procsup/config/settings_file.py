"""Reads procsup.toml: all mistakes at once, each with its place and what to do."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from procsup.config.readiness import complaints
from procsup.config.settings import FILE, SIZES, Settings, TypeSettings
from procsup.config.settings_keys import OF_A_TYPE, OF_THE_APP, PROCESSES, Key
from procsup.config.settings_values import Unfit, short
from procsup.config.text import decode_lines
from procsup.config.toml_places import Path, nearest, places
from procsup.errors import ConfigError, Problem, advice

# tomllib takes time that grows with the square of the parts of a key: 64 KiB of "a.a.a." cost it 16 s.
_ENDLESS_KEY = re.compile(r"(?<![A-Za-z0-9_-])(?:(?:[A-Za-z0-9_-]++|\"[^\"\n]*+\"|'[^'\n]*+')[ \t]*+\.[ \t]*+){200}")
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)")
_TUPLE, _COMMA = re.compile(r"\('([^()]*?)',?\)"), "', '"  # so tomllib writes the name of a table
# What tomllib says, by how it begins, and what to do about it.
_ADVICE = {
    "Invalid value": "texts stand in quotes",
    "Invalid statement": "lines are KEY = VALUE or [TABLE]",
    "Expected '=' after a key": "lines are KEY = VALUE or [TABLE]",
    "Cannot overwrite a value": "say it once",
    "Cannot declare": "put all of a table in one place",
    "Cannot mutate immutable": "put all of a table in one place",
    "Unterminated string": "end it with the quotes it began with",
    "Illegal character": r"write it as \n, \t or \u0000, or in three quotes",
    "Unescaped": r"write it as \\, or put the text in single quotes",
}


def parse_settings(data: bytes, types: Sequence[str], procfile: str, file: str = FILE) -> Settings:
    """Raises ConfigError with all that is wrong. `types` are those of the Procfile, by their names."""
    lines, problems = decode_lines(data, file)
    if problems:
        raise ConfigError(problems)
    if conflict := next((at for at, line in enumerate(lines, 1) if line.startswith(("<<<<<<< ", ">>>>>>> "))), None):
        raise ConfigError([Problem(file, conflict, 1, "a merge conflict; decide for one side and remove the markers")])
    text = "\n".join(lines)
    if endless := _ENDLESS_KEY.search(text):
        before = text[: endless.start()]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        raise ConfigError([Problem(file, line, column, "a key of hundreds of parts; remove it")])
    try:
        read = tomllib.loads(text)
        where = places(lines)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([_no_toml(str(error), lines, file)]) from None
    except RecursionError:
        raise ConfigError([Problem(file, 1, 1, "brackets inside brackets, too deep to be read; remove some")]) from None
    except ValueError:  # Python refuses to read a number of thousands of digits
        raise ConfigError([_long_number(lines, file)]) from None
    return _Reader(read, where, types, procfile, file).settings()


def _no_toml(message: str, lines: list[str], file: str) -> Problem:
    match = _PLACE.search(message)
    line, column = (int(match[1]), int(match[2])) if match and match[1] else (len(lines), len(lines[-1]) + 1)
    text = _TUPLE.sub(
        lambda found: f"[{found[1].replace(_COMMA, '.')}]", message[: match.start()] if match else message
    )
    advice = next((advice for begin, advice in _ADVICE.items() if text.startswith(begin)), "see https://toml.io")
    return Problem(file, line, column, f"no TOML: {text[:1].lower()}{text[1:]}; {advice}")


def _long_number(lines: list[str], file: str) -> Problem:
    found = ((number, match) for number, line in enumerate(lines, 1) if (match := re.search(r"[0-9_]{4000,}", line)))
    line, column = next(((number, match.start() + 1) for number, match in found), (1, 1))
    return Problem(file, line, column, "a number of thousands of digits; write a smaller one")


class _Reader:
    def __init__(
        self,
        read: Mapping[str, Any],
        where: Mapping[Path, tuple[int, int]],
        types: Sequence[str],
        procfile: str,
        file: str,
    ) -> None:
        self._read = read
        self._places = where
        self._types = types
        self._procfile = procfile
        self._file = file
        self._problems: list[Problem] = []
        self._found: dict[tuple[str, str], str] = {}

    def settings(self) -> Settings:
        top = {key: value for key, value in self._read.items() if key != PROCESSES}
        app = self._values({key: top.pop(key) for key in OF_THE_APP if key in top}, OF_THE_APP, ())
        defaults = self._values(top, OF_A_TYPE, ())
        types = {name: self._type(name, table, defaults) for name, table in self._tables().items()}
        self._check_relationships(types, app.get("relationships", {}))
        self._check_sizes(types, defaults.get("size"), app.get("sizes", {}))
        settings = Settings(
            **app, types=types, defaults=TypeSettings(**defaults), places=self._found, read_from=self._file
        )
        for of, message in complaints(settings, self._types):
            self._complain(("depends_on",) if of is None else (PROCESSES, of, "depends_on"), message)
        self._check_sockets(settings)
        if self._problems:
            raise ConfigError(sorted(self._problems))
        return settings

    def _tables(self) -> Mapping[str, Mapping[str, Any]]:
        tables = self._read.get(PROCESSES, {})
        if not isinstance(tables, dict):
            self._complain((PROCESSES,), f"{PROCESSES} must be tables, as in [{PROCESSES}.{self._types[0]}]")
            return {}
        found: dict[str, Mapping[str, Any]] = {}
        for name, table in tables.items():
            if name not in self._types:
                self._complain((PROCESSES, name), self._no_type(name))
            elif isinstance(table, dict):
                found[name] = table
            else:
                twice = ", in single brackets" if isinstance(table, list) else ""
                self._complain((PROCESSES, name), f"must be a table, as in [{PROCESSES}.{name}]{twice}")
        return found

    def _no_type(self, name: str) -> str:
        if name in OF_A_TYPE or name in OF_THE_APP:
            of_one = f", or in [{PROCESSES}.NAME]" if name in OF_A_TYPE else ""
            return f'"{name}" belongs at the top of the file, before the first [table]{of_one}'
        return f'no process type "{short(name)}" in {self._procfile}; {advice(name, self._types)}'

    def _type(self, name: str, table: Mapping[str, Any], defaults: Mapping[str, Any]) -> TypeSettings:
        own = self._values(table, OF_A_TYPE, (PROCESSES, name))
        values = {**defaults, **own}
        if "size" in own:  # nearer than a limit for all types
            values |= {key: own.get(key) for key in ("memory", "cpu")}
        values["env"] = own.get("env", {})
        return TypeSettings(**values)

    def _values(self, table: Mapping[str, Any], keys: Mapping[str, Key], path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        of = path[-1] if path else ""
        for name, value in table.items():
            if name not in keys:
                self._complain((*path, name), self._unknown(name, in_a_type=bool(path)))
                continue
            try:
                values[name] = keys[name].read(value)
            except Unfit as error:
                what = ".".join((name, *map(short, error.inside)))
                perhaps = self._fallen_into(name, error.inside)
                self._complain((*path, name, *error.inside), f"{what} must be {error}{perhaps}")
                continue
            self._found[of, name] = self._place((*path, name))
            if isinstance(values[name], dict):
                inner = {(of, f"{name}.{each}"): self._place((*path, name, each)) for each in values[name]}
                self._found.update(inner)
        return values

    def _unknown(self, name: str, *, in_a_type: bool) -> str:
        if in_a_type and name in OF_THE_APP:
            return f'"{name}" belongs at the top of the file, before the first [table]'
        if name in self._types:
            return f'unknown key "{name}"; for the process type write [{PROCESSES}.{name}]'
        known = [*OF_A_TYPE] if in_a_type else [*OF_A_TYPE, *OF_THE_APP, PROCESSES]
        return f'unknown key "{short(name)}"; {advice(name, dict.fromkeys(known))}'

    def _fallen_into(self, table: str, inside: Path) -> str:
        """TOML has no end of a table but the next one, so what is meant for the top may stand in it."""
        if inside and (inside[0] in OF_A_TYPE or inside[0] in OF_THE_APP):
            return f'; if the key "{inside[0]}" is meant, write it before [{table}]'
        return ""

    def _check_relationships(self, types: Mapping[str, TypeSettings], groups: Mapping[str, object]) -> None:
        if "relationships" in self._read and not groups and self._read["relationships"]:
            return  # what is wrong there was told
        for name, own in types.items():
            for group in own.relationships:
                if group not in groups:
                    what = advice(group, groups) if groups else f'write [relationships] {short(group)} = ["NAME_*"]'
                    self._complain((PROCESSES, name, "relationships"), f'no relationship "{short(group)}"; {what}')

    def _check_sizes(self, types: Mapping[str, TypeSettings], usual: str | None, more: Mapping[str, object]) -> None:
        if "sizes" in self._read and not more and self._read["sizes"]:
            return  # what is wrong there was told
        known = {**SIZES, **more}
        used: dict[Path, str | None] = {("size",): usual}
        used |= {(PROCESSES, name, "size"): own.size for name, own in types.items() if (name, "size") in self._found}
        for path, size in used.items():
            if size is not None and size not in known:
                self._complain(path, f'no size "{short(size)}"; {advice(size, known)}')

    def _check_sockets(self, settings: Settings) -> None:
        """PORT is looked at for `port` and `http`; and at a socket that several share any of them may answer."""
        for name in self._types:
            own = settings.of(name)
            for key, check in (("ready", own.ready), ("live", own.live)):
                if own.socket is None or check is None or check.kind not in ("port", "http"):
                    continue
                instead = 'write "log REGEX" or "notify"' if key == "ready" else "leave it out"
                message = f'{key} = "{check}" looks at PORT, and {name} listens on its socket; {instead}'
                self._complain((PROCESSES, name, key) if (name, key) in self._found else (key,), message)

    def _complain(self, path: Path, message: str) -> None:
        self._problems.append(Problem(self._file, *nearest(self._places, path), message))

    def _place(self, path: Path) -> str:
        return f"{self._file}:{nearest(self._places, path)[0]}"
