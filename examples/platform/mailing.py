"""The mail worker: needs nothing but RabbitMQ, and is given nothing else."""

from __future__ import annotations

import messages


def main() -> None:
    with messages.connect() as broker:
        channel = messages.open_channel(broker)
        print("waiting for mails")
        for mail in messages.received(channel, messages.MAILS):
            print(f"mail to {mail['to']}: your poster {mail['number']} is ready")
    print("bye")


if __name__ == "__main__":
    main()
