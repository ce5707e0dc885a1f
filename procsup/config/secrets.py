"""Keeps secrets out of everything that procsup itself prints or stores.

What is secret is told by the variable's name, and by the place of a password inside a URL. Too much is masked rather
than too little.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

MASK = "****"

_SECRET_PARTS = ("KEY", "TOKEN", "SECRET", "PASS", "PWD", "CREDENTIAL", "AUTH", "DSN", "PRIVATE")
_FOLDERS = frozenset({"PWD", "OLDPWD"})  # the shell's working folders, which happen to be spelled like a password
_PORTS = "PROCSUP_PORT_"  # a port is none, even that of a type called "auth"
# USE_AUTH=true is no secret, and would mask every other "true".
_SWITCHES = frozenset({"0", "1", "true", "false", "yes", "no", "on", "off", "none", "null"})

# user:password@ up to the last @ before the path; failing that, a password that has an unescaped "/", "?" or "#" in
# it, unless it is a port with a path behind it. Of the scheme only the last letter is looked at, and the last @ of a
# word is looked for beforehand: an expression that searches on from everywhere takes minutes for a long word.
_URL_PASSWORD = re.compile(
    r"""(?P<before>[A-Za-z0-9+.-]://[^\s/?\#:@'"]*:)
        (?:[^\s/?\#'"]*|(?!\d+[/?\#])[^\s'"]*)@""",
    re.VERBOSE,
)
_WORD = re.compile(r"[^\s'\"]+")
_URL_PARAMETER = re.compile(r"(?P<before>[?&;](?P<name>[A-Za-z0-9_.-]+)=)[^\s&;#'\"]+")
_ASSIGNMENT = re.compile(
    r"""(?P<before>(?:(?<=[\s'";&|(])|\A)-{0,2}(?P<name>[A-Za-z_][A-Za-z0-9_-]*)=)(?P<value>"[^"]*"|'[^']*'|[^\s'"]+)"""
)
_SHORT = 8  # a shorter secret is masked only where it stands alone: KEY=1 must not turn port 5001 into 500****


def is_secret(name: str) -> bool:
    upper = name.upper()
    return upper not in _FOLDERS and not upper.startswith(_PORTS) and any(part in upper for part in _SECRET_PARTS)


def mask(name: str, value: str) -> str:
    """The value as it may be shown; an empty one stays, since being empty is what one looks for."""
    if is_secret(name):
        return MASK if value else ""
    return _mask_urls(value)


def secret_values(variables: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """The values that `mask_text` should hide."""
    found = (value for name, value in variables if value.lower() not in _SWITCHES and value and is_secret(name))
    return tuple(dict.fromkeys(found))


def masked(values: Mapping[str, str], secrets: Iterable[str]) -> dict[str, str]:
    """An environment that may be shown: no secret in it, not even inside of another value."""
    known = tuple(secrets)
    return {name: mask(name, mask_text(value, known)) for name, value in values.items()}


def mask_text(text: str, secrets: Iterable[str]) -> str:
    """Any text (a command, an error) without these values, passwords in URLs and NAME=value of secret names."""
    known = sorted({secret for secret in secrets if secret}, key=len, reverse=True)
    if known:
        text = re.sub("|".join(map(_pattern, known)), MASK, text)
    text = _ASSIGNMENT.sub(lambda found: found["before"] + MASK if is_secret(_variable(found)) else found[0], text)
    return _mask_urls(text)


def _variable(found: re.Match[str]) -> str:
    return found["name"]


def _pattern(secret: str) -> str:
    literal = re.escape(secret)
    return literal if len(secret) >= _SHORT else rf"(?<![A-Za-z0-9]){literal}(?![A-Za-z0-9])"


def _mask_urls(text: str) -> str:
    if "://" not in text:
        return text
    text = _WORD.sub(_mask_password, text)
    return _URL_PARAMETER.sub(lambda found: found["before"] + MASK if is_secret(_variable(found)) else found[0], text)


def _mask_password(word: re.Match[str]) -> str:
    end = word[0].rfind("@") + 1
    return _URL_PASSWORD.sub(rf"\g<before>{MASK}@", word[0][:end]) + word[0][end:]
