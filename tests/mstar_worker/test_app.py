"""The settings that keep Celery from losing or repeating work, as an application really has them."""

import pytest

from mstar.steps import TASK_NAMES, Queue
from mstar_worker.app import make_celery, publish
from step_board import broker

SETTINGS = {
    "accept_content": ["json"],
    "task_serializer": "json",
    "task_ignore_result": True,
    "worker_concurrency": 1,
    "broker_channel_error_retry": True,
    "worker_prefetch_multiplier": 1,
    "worker_disable_prefetch": True,
    "worker_enable_remote_control": False,
    "worker_send_task_events": False,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_is_what_it_must_be(name: str) -> None:
    assert make_celery("memory://").conf[name] == SETTINGS[name]


def test_only_the_queues_asked_for_are_consumed_and_no_result_is_kept() -> None:
    app = make_celery("memory://", (Queue.SCORE, Queue.CONTROL))
    assert [queue.name for queue in app.conf.task_queues] == ["score", "control"]
    assert app.conf.result_backend is None
    assert all(queue.no_ack for queue in app.conf.task_queues)


def test_a_task_message_reaches_its_own_queue_only() -> None:
    with broker() as running:
        app = make_celery(running.url)
        publish(app, Queue.SCORE, "s1")
        with app.connection_for_write() as connection, connection.channel() as channel:
            waiting = {queue: channel.client.llen(queue.value) for queue in Queue}
        app.close()
    assert waiting == {Queue.CONTROL: 0, Queue.ROLLOUT: 0, Queue.SCORE: 1, Queue.TRAIN: 0}


def test_every_queue_has_its_own_task() -> None:
    assert set(TASK_NAMES) == set(Queue)
    assert len(set(TASK_NAMES.values())) == len(Queue)
