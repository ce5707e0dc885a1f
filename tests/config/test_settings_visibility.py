"""Which variables a process type sees, by the relationships that it lists."""

from __future__ import annotations

from procsup.config.settings import Settings
from procsup.config.settings_file import parse_settings

GROUPS = """
[relationships]
mysql = ["DATABASE_URL", "MYSQL_*"]
rabbitmq = ["RABBITMQ_*", "QUEUE_?"]
both = "MYSQL_SHARED"
[processes.mail]
relationships = ["rabbitmq"]
[processes.queue]
relationships = ["rabbitmq", "mysql"]
[processes.odd]
relationships = ["both"]
[processes.none]
relationships = []
"""
VARIABLES = ("DATABASE_URL", "MYSQL_HOST", "MYSQL_SHARED", "RABBITMQ_HOST", "QUEUE_A", "QUEUE_AB", "PATH", "mysql_x")


def settings() -> Settings:
    return parse_settings(GROUPS.encode(), ("web", "mail", "queue", "odd", "none"), "Procfile")


def seen(name: str) -> set[str]:
    return set(settings().visible(name, dict.fromkeys(VARIABLES, "x")))


def test_a_type_that_lists_none_sees_all() -> None:
    assert seen("web") == set(VARIABLES)
    assert seen("none") == set(VARIABLES)


def test_a_type_sees_the_groups_that_it_lists_and_what_belongs_to_none() -> None:
    assert seen("mail") == {"RABBITMQ_HOST", "QUEUE_A", "QUEUE_AB", "PATH", "mysql_x"}
    assert seen("queue") == set(VARIABLES)


def test_what_two_groups_share_is_seen_by_who_lists_one_of_them() -> None:
    assert seen("odd") == {"MYSQL_SHARED", "QUEUE_AB", "PATH", "mysql_x"}


def test_who_hides_a_variable_can_be_asked() -> None:
    assert settings().hiding("mail", "MYSQL_HOST") == ("mysql",)
    assert settings().hiding("mail", "MYSQL_SHARED") == ("mysql", "both")
    assert settings().hiding("mail", "RABBITMQ_HOST") == ()
    assert settings().hiding("web", "MYSQL_HOST") == ()
