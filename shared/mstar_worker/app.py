"""The Celery application. Every setting that matters is explicit, because most defaults lose or repeat work.

The database decides which steps are due; a task message only tells a worker to try to claim one of them. A message
that is lost, duplicated or late therefore costs time only, and nothing here tries to prevent that.
"""

from collections.abc import Sequence

from celery import Celery
from kombu import Exchange
from kombu import Queue as KombuQueue

from mstar.steps import TASK_NAMES, Queue

EXCHANGE = "mstar"
"""Named here, and each queue with its own key: by default all would share the first queue's exchange and key."""


def make_celery(broker_url: str, queues: Sequence[Queue] = tuple(Queue)) -> Celery:
    """An application for these queues: JSON only, one message at a time, no acknowledgements and no results."""
    app = Celery("mstar", broker=broker_url, set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_create_missing_queues=False,
        # The broker deletes a message on delivery. An acknowledgement that fails because the broker is away would count
        # the message as unfinished for ever, and a worker at its limit of one takes no other.
        task_queues=[
            KombuQueue(queue.value, Exchange(EXCHANGE), routing_key=queue.value, no_ack=True) for queue in queues
        ],
        task_default_queue=queues[0].value,
        task_publish_retry=False,
        task_send_sent_event=False,
        # The default is the number of cores; with the solo pool it decides only how many messages are fetched ahead.
        worker_concurrency=1,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_consumer="mstar_worker.consumer:PatientConsumer",
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # Replies such as OOM, READONLY or MISCONF are retried like a lost connection.
        broker_channel_error_retry=True,
        broker_transport_options={
            "socket_timeout": 5,
            "socket_connect_timeout": 5,
            "queue_order_strategy": "priority",
            # For publishers and queries; a consumer retries for ever, by broker_connection_max_retries.
            "max_retries": 1,
            "interval_start": 0.1,
            "interval_max": 0.1,
        },
    )
    return app


def publish(app: Celery, queue: Queue, step_id: str) -> None:
    """Put one task message on a queue.

    Raises kombu's OperationalError when the broker does not answer, and redis-py's ResponseError when it refuses.
    """
    app.send_task(TASK_NAMES[queue], args=[step_id], queue=queue.value)
