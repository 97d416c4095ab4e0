from cnflow.errors import BlockError
from cnflow.executors.high_throughput.pool_news import PoolNews
from cnflow.testing import FakeClock
from cnflow.wire.manager_messages import NoWorkers


def test_missing_workers_are_logged_once_a_minute_and_named_to_a_user_who_waits(caplog):
    clock = FakeClock()
    news = PoolNews("pool", clock)
    for words in ("ErrImagePull", "ImagePullBackOff", "ErrImagePull"):
        assert news.on_message(NoWorkers(words)) is None
    assert [record.getMessage() for record in caplog.records] == [
        "the pool of executor pool has no worker; tasks wait: ErrImagePull"
    ]
    assert news.describe() == "Its pool has no worker: ErrImagePull"
    clock.advance(60)
    news.on_message(NoWorkers("ImagePullBackOff"))
    assert len(caplog.records) == 2


def test_news_that_are_withdrawn_are_forgotten_and_the_next_are_logged_at_once(caplog):
    news = PoolNews("pool", FakeClock())
    news.on_message(NoWorkers("Unschedulable"))
    news.on_message(NoWorkers(""))
    assert "no worker" not in news.describe()
    news.on_message(NoWorkers("Unschedulable"))
    assert len(caplog.records) == 2


def test_final_news_are_the_error_of_the_executor():
    error = PoolNews("pool", FakeClock()).on_message(NoWorkers("no such image", is_final=True))
    assert isinstance(error, BlockError)
    assert str(error) == "The pool of executor 'pool' has no worker, and gets none until that is mended: no such image"
