"""Evaluates a plain command's words as /bin/sh would, or says that only the shell can.

The aim is the shell's argv, byte for byte, for the commands that Procfiles are full of; not a shell. Whatever two
shells might see differently, or we are not certain of, is left to the shell: being sent there costs a process,
being wrong here costs somebody's data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

# (Sets that leave characters out compile ten times faster than sets that reach up to U+10FFFF.)
# The disjoint pieces a plain word is made of; what matches none of them (operators, globs, braces, tildes, `!`,
# backquotes, newlines, an unclosed quote) is the shell's. A letter beyond ASCII right after $NAME may or may not be
# part of the name, depending on the shell and its locale, so it matches nothing either; no more does a name that
# goes on in the next line.
_VARIABLE = r"""\$ (?: \{ (?P<braced> [A-Za-z_][A-Za-z0-9_]* ) \}
          | (?P<named> [A-Za-z_][A-Za-z0-9_]*+ ) (?! [^\x00-\x7f] | \\\n ) )"""
_PIECE = re.compile(
    rf"""
      (?P<blank>   [ \t]+ )
    | (?P<plain>   [^\x00-\x20!"$&'()*;<>?\[\\\]^`{{|}}~\x7f]+ )
    | ' (?P<single> [^']* ) '
    | " (?P<double> (?: [^"\\`]++ | \\. )*+ ) "
    | \\ (?P<escaped> . )
    | {_VARIABLE}
    """,
    re.VERBOSE | re.DOTALL,
)
_IN_DOUBLE_QUOTES = re.compile(
    rf"""
      (?P<plain>   [^$\\`]+ )
    | \\ (?P<escaped> . )
    | {_VARIABLE}
    """,
    re.VERBOSE | re.DOTALL,
)
# Shells use these bytes as marks of their own inside words; old ones confuse the two.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
# A value with one of these, outside quotes, is a pattern; shells differ over a backslash in it.
_PATTERN = re.compile(r"[*?\[\\(]")
_FIELD_SEPARATORS = re.compile(r"[ \t\n]+")

# Variables that a shell sets or changes itself, whatever the environment says: dash, bash, ksh and zsh together.
_OWN = (
    "_ IFS PWD OLDPWD PPID OPTIND OPTARG OPTERR LINENO RANDOM SRANDOM SECONDS PS1 PS2 PS3 PS4 UID EUID GID EGID"
    " GROUPS SHLVL SHELLOPTS DIRSTACK FUNCNAME PIPESTATUS HISTCMD EPOCHSECONDS EPOCHREALTIME REPLY COLUMNS LINES"
    " MAILCHECK HOSTTYPE MACHTYPE OSTYPE USERNAME TTY ARGC CPUTYPE VENDOR status argv"
)
_SHELLS_OWN = frozenset(_OWN.split())
_SHELLS_OWN_PREFIXES = ("BASH", "COMP_", "KSH", "ZSH")
# Variables that some shell makes up where the environment has none.
_DEFAULTED = "PATH HOME SHELL TERM USER LOGNAME HOST HOSTNAME MAIL ENV FCEDIT HISTFILE HISTSIZE TMOUT"
_MADE_UP = frozenset(_DEFAULTED.split())


def evaluate(text: str, env: Mapping[str, str]) -> list[str] | None:
    """The words after expansion, field splitting and quote removal; None where the shell must be asked."""
    if _CONTROL.search(text):
        return None
    words: list[str] = []
    word: str | None = None  # the field being built; None where there is none, which "" (from quotes) is not
    in_word = False  # whether the text, not what it expands to, is inside a word
    position = 0
    while position < len(text):
        piece = _PIECE.match(text, position)
        if piece is None:
            return None
        position = piece.end()
        kind, content = piece.lastgroup, piece[piece.lastgroup or 0]
        if kind == "blank":
            if word is not None:
                words.append(word)
            word, in_word = None, False
            continue
        if kind == "plain":
            if content[0] == "#" and not in_word:
                return None  # a comment
            word = (word or "") + content
        elif kind == "single":
            word = (word or "") + content
        elif kind == "escaped":
            if content != "\n":
                word = (word or "") + content
            elif not in_word:
                continue  # a line that goes on: nothing stands here
        elif kind == "double":
            quoted = _double_quoted(content, env)
            if quoted is None:
                return None
            word = (word or "") + quoted
        else:
            value = _value(content, env)
            if value is None or _PATTERN.search(value):
                return None
            first, *rest = _FIELD_SEPARATORS.split(value)
            if first:
                word = (word or "") + first
            for field in rest:
                if word is not None:
                    words.append(word)
                word = field or None
        in_word = True
    if word is not None:
        words.append(word)
    return words


def _double_quoted(content: str, env: Mapping[str, str]) -> str | None:
    parts: list[str] = []
    position = 0
    while position < len(content):
        piece = _IN_DOUBLE_QUOTES.match(content, position)
        if piece is None:
            return None
        position = piece.end()
        text = piece[piece.lastgroup or 0]
        if piece.lastgroup == "plain":
            parts.append(text)
        elif piece.lastgroup == "escaped":
            if text != "\n":  # a backslash hides only what is special here; before all else it is itself
                parts.append(text if text in '$`"\\' else "\\" + text)
        else:
            value = _value(text, env)
            if value is None:
                return None
            parts.append(value)
    return "".join(parts)


def _value(name: str, env: Mapping[str, str]) -> str | None:
    """What $NAME stands for, unset names being empty; None where only the shell knows."""
    if name in _SHELLS_OWN or name.startswith(_SHELLS_OWN_PREFIXES):
        return None
    value = env.get(name)
    if value is None:
        return None if name in _MADE_UP else ""
    return None if _CONTROL.search(value) else value
