"""PORT and UNIQUE_INT: never shared, and never moved while the instance lives."""

from __future__ import annotations

import pytest

from procsup.core.actions import Spawn
from procsup.core.events import LeaderExited
from procsup.core.model import RequestRefused
from procsup.core.numbers import PortBook, UniqueInts, usual_port
from tests.core.stage import BY_SIGTERM, CRASH, Stage, named, up


def gone(stage: Stage, *names: str) -> None:
    for name in names:
        stage.ends(name, BY_SIGTERM)


# PORT


def test_port_is_base_plus_a_hundred_a_type_plus_the_number() -> None:
    stage = up("web", "api", "worker", counts={"web": 2, "api": 0, "worker": 3})
    assert stage["web.1"].port == 5000
    assert stage["web.2"].port == 5001
    assert stage["worker.3"].port == 5202, "types without instances count as well"
    assert stage.supervisor.type_ports == {"web": 5000, "api": 5100, "worker": 5200}


def test_the_base_can_be_another() -> None:
    assert up("web", "api", base_port=8000)["api.1"].port == 8100
    assert usual_port(8000, 2, 100) == 8299


def test_past_the_hundredth_it_is_the_lowest_free_port_behind_the_last_types_hundred() -> None:
    stage = up("web", "api", counts={"web": 102, "api": 101})
    assert stage["web.100"].port == 5099
    assert stage["web.101"].port == 5200
    assert stage["web.102"].port == 5201
    assert stage["api.101"].port == 5202
    ports = [each.port for each in stage.supervisor.instances()]
    assert len(set(ports)) == len(ports)


def test_a_free_port_past_the_hundredth_is_used_again() -> None:
    stage = up("web", "api", counts={"web": 102, "api": 101})
    stage.scale("web=100")
    stage.scale("api=102")
    assert stage["api.102"].port == 5203, "web.101 and web.102 still hold theirs"
    gone(stage, "web.101", "web.102")
    stage.scale("api=103")
    assert stage["api.103"].port == 5200


def test_a_port_stays_over_crashes_restarts_and_stops() -> None:
    stage = up("web", "api", counts={"api": 2})
    before = stage["api.2"].port
    stage.ends("api.2")
    stage.runs()
    stage.restart("api.2")
    gone(stage, "api.2")
    stage.runs()
    stage.stop("api.2")
    gone(stage, "api.2")
    stage.start("api.2")
    assert stage["api.2"].port == before == 5101


def test_no_port_of_a_living_instance_moves_at_a_reload() -> None:
    stage = up("web", "api", "worker")
    stage.read("clock", "worker", "web", "api")
    assert [stage[name].port for name in ("web.1", "api.1", "worker.1")] == [5000, 5100, 5200]
    assert stage["clock.1"].port == 5300, "its place is taken, so it gets the next one"


def test_a_new_type_does_not_get_the_ports_of_those_that_still_stop() -> None:
    stage = up("web", "old")
    stage.read("web", "new")
    assert stage["old.1"].port == 5100
    assert stage["new.1"].port == 5200


def test_a_new_type_does_not_get_the_ports_of_those_past_a_hundred() -> None:
    stage = up("web", counts={"web": 102})
    stage.read("web", "api")
    assert stage["web.102"].port == 5101
    assert stage["api.1"].port == 5200


def test_a_removed_type_makes_room() -> None:
    stage = up("web", "old")
    stage.read("web")
    gone(stage, "old.1")
    stage.read("web", "new")
    assert stage["new.1"].port == 5100


def test_ports_past_the_last_one_are_refused() -> None:
    stage = up("web", base_port=65_400)
    stage.scale("web=100")
    with pytest.raises(RequestRefused, match="ports up to 65536, and the last is 65535"):
        stage.scale("web=137")
    stage.scale("web=136")
    stage = up("web", "api", base_port=65_336)
    with pytest.raises(RequestRefused, match="lower --port"):
        stage.read("web", "api", "worker")


def test_a_book_gives_each_port_once() -> None:
    book = PortBook(5000)
    book.know_types(["web"])
    ports = [book.take("web", number) for number in range(1, 301)]
    assert ports == list(range(5000, 5300))
    book.give_back(5150)
    assert book.take("web", 400) == 5150


# UNIQUE_INT


def test_unique_ints_count_from_one_over_all_types() -> None:
    stage = up("web", "api", counts={"web": 2, "api": 2})
    assert [each.unique_int for each in stage.supervisor.instances()] == [1, 2, 3, 4]


def test_a_unique_int_stays_over_crashes_restarts_and_stops() -> None:
    stage = up("web", "api", counts={"web": 2})
    stage.ends("web.2")
    stage.runs()
    stage.stop("web.2")
    gone(stage, "web.2")
    stage.scale("api=5")
    assert stage["web.2"].unique_int == 2, "stopped by hand is not scaled away"


def test_a_unique_int_is_free_once_the_last_of_its_tree_is_gone() -> None:
    stage = up("web", "api", counts={"web": 2})
    stage.scale("web=1")
    stage.scale("api=2")
    assert stage["api.2"].unique_int == 4, "web.2 still stops"
    stage.ends("web.2", BY_SIGTERM, leaving_others=True)
    stage.scale("api=3")
    assert stage["api.3"].unique_int == 5, "something of web.2 is still alive"
    stage.others_gone("web.2")
    stage.scale("api=4")
    assert stage["api.4"].unique_int == 2


def test_the_lowest_free_one_is_taken() -> None:
    numbers = UniqueInts()
    assert [numbers.take() for _ in range(5)] == [1, 2, 3, 4, 5]
    numbers.give_back(4)
    numbers.give_back(2)
    assert [numbers.take() for _ in range(3)] == [2, 4, 6]


def test_orders_to_spawn_carry_the_numbers_of_the_instance() -> None:
    stage = up("web", "api")
    (_, order) = stage.supervisor.handle(LeaderExited(named("api.1"), CRASH), stage.now)
    assert order == Spawn(named("api.1"), 5100, 2)
