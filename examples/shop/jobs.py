"""What the workers do: ship an order. Doing one twice does no harm, so a worker may die at any moment."""

from __future__ import annotations

import os
import time

from redis import Redis

ATTEMPTS = "shop:attempts"  # a hash: order -> how often somebody set about it
SHIPPED = "shop:shipped"  # a set of orders


def shop_redis() -> Redis:
    return Redis.from_url(os.environ["REDIS_URL"])


def ship(order: int) -> None:
    with shop_redis() as redis:
        redis.hincrby(ATTEMPTS, str(order), 1)
        time.sleep(float(os.environ["SECONDS_PER_ORDER"]))
        redis.sadd(SHIPPED, order)
    print(f"shipped order {order}")
