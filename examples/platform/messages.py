"""The two queues in RabbitMQ: orders for posters, and mails about those that are done."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel

ORDERS = "orders"
MAILS = "mails"
_SOON = 0.5  # seconds after which a quiet worker looks whether it is to stop


def connect() -> pika.BlockingConnection:
    return pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))


def open_channel(connection: pika.BlockingConnection) -> BlockingChannel:
    channel = connection.channel()
    for queue in (ORDERS, MAILS):
        channel.queue_declare(queue, durable=True)
    return channel


def send(channel: BlockingChannel, queue: str, message: dict[str, Any]) -> None:
    properties = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
    channel.basic_publish("", queue, json.dumps(message).encode(), properties)


def received(channel: BlockingChannel, queue: str) -> Iterator[dict[str, Any]]:
    """One message at a time, until SIGTERM. One that nobody was done with, because of a crash, comes again."""
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    channel.basic_qos(prefetch_count=1)
    for method, _, body in channel.consume(queue, inactivity_timeout=_SOON):
        if method is not None and not told:
            yield json.loads(body)
            channel.basic_ack(method.delivery_tag)
        if told:
            return
