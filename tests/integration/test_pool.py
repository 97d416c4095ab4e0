"""A pool's interchange with real processes and sockets: drivers with their bridges, and managers that a test plays."""

import pytest

from tests.integration.pool import PlayedManager, Pool, wait_for


@pytest.fixture
def pool(tmp_path):
    made = Pool(tmp_path)
    yield made
    made.close()


@pytest.fixture
def manager(pool):
    made = PlayedManager(pool)
    yield made
    made.close()


def test_two_drivers_get_the_results_of_their_own_tasks(pool, manager):
    drivers = [pool.driver(pool.key(name)) for name in ("ann", "bob")]
    assert [driver.greeting() for driver in drivers] == ["started", "started"]
    for driver in drivers:
        driver.submit(20)

    def are_ended():
        manager.end_all()
        for driver in drivers:
            driver.read()
        return all(len(driver.results) == 20 for driver in drivers)

    wait_for(are_ended)
    for driver in drivers:
        assert driver.results.keys() == set(range(20))
        assert not driver.more
    bodies = [{result.body for result in driver.results.values()} for driver in drivers]
    assert not bodies[0] & bodies[1]
    assert len(manager.functions) == 1
