"""Any text as the counts on a command line, an argument a line: counts that the supervisor takes, or one sentence."""

from __future__ import annotations

from procsup.config.formation import MAX_COUNT, parse_formation, parse_scale
from procsup.control.protocol import check_parameters
from procsup.errors import UsageError

LONGEST = 512
TOKENS = (
    *(b"web", b"worker", b"release", b"all", b"=", b"=+", b"=-", b"+", b"-", b",", b"\n", b" ", b"10000", b"10001"),
    *(b"web=2,worker=3", b"worker+2", b"worker-1", b"9" * 64, b"\xd9\xa3", b"\xc2\xb2", b"_", b"0x1", b"1e3", b"\x1b"),
)
_TYPES = ("web", "worker", "release", "web-2")


def one(data: bytes) -> None:
    arguments = data.decode(errors="replace").split("\n")
    try:
        counts = parse_formation(arguments, _TYPES)
    except UsageError as error:
        _check_sentence(error)
    else:
        assert all(name in _TYPES and type(count) is int and 0 <= count <= MAX_COUNT for name, count in counts.items())
        assert parse_formation([f" {name} = {count} " for name, count in counts.items()], _TYPES) == counts
    try:
        changes = parse_scale(arguments)
    except UsageError as error:
        _check_sentence(error)
        return
    sent = [{"type": change.type, "relative": change.relative, "count": change.amount} for change in changes]
    assert check_parameters("scale", {"changes": sent})["changes"] == sent
    written = [f"{each.type}={'+' * (each.relative and each.amount >= 0)}{each.amount}" for each in changes]
    assert parse_scale([",".join(written)]) == changes


def _check_sentence(error: UsageError) -> None:
    text = str(error)
    assert error.exit_code == 2
    assert text.isprintable()
    assert len(text) < 400
