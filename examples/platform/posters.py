"""The posters that are done, in the database."""

from __future__ import annotations

import os

import psycopg


def connect() -> psycopg.Connection:
    """With its table there, whoever comes first."""
    connection = psycopg.connect(os.environ["DATABASE_URL"], options=f"-c search_path={os.environ['DATABASE_SCHEMA']}")
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(1)")
        connection.execute(
            "create table if not exists posters (number bigint primary key, bytes bigint, drawn_by text)"
        )
        connection.execute("create sequence if not exists numbers")
    connection.autocommit = True
    return connection


def next_number(connection: psycopg.Connection) -> int:
    return connection.execute("select nextval('numbers')").fetchone()[0]


def add(connection: psycopg.Connection, number: int, size: int) -> None:
    """Once, also if it was drawn twice because a worker died after the first time."""
    values = (number, size, os.environ["PS"])
    connection.execute("insert into posters values (%s, %s, %s) on conflict do nothing", values)


def count(connection: psycopg.Connection) -> int:
    return connection.execute("select count(*) from posters").fetchone()[0]
