"""The Celery application: every setting that matters is written down, because most defaults lose or repeat work.

Messages are hints. A message that is lost, doubled or late changes nothing but time, since a step is claimed from the
coordinator before it is done.
"""

from collections.abc import Sequence

from celery import Celery
from kombu import Exchange
from kombu import Queue as KombuQueue

from mstar.steps import TASK_NAMES, Queue

VISIBILITY_SECONDS = 6 * 3600
"""Above the longest step. Among applications that share a broker the smallest value wins."""

EXCHANGE = "mstar"
"""Named here, and each queue with its own key: by default all would share the first queue's exchange and key."""


def make_celery(broker_url: str, queues: Sequence[Queue] = tuple(Queue)) -> Celery:
    """An application for these queues. JSON only, late acknowledgement, one message at a time, no results."""
    app = Celery("mstar", broker=broker_url, set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_acks_on_failure_or_timeout=True,
        task_create_missing_queues=False,
        task_queues=[KombuQueue(queue.value, Exchange(EXCHANGE), routing_key=queue.value) for queue in queues],
        task_default_queue=queues[0].value,
        task_publish_retry=False,
        task_send_sent_event=False,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        visibility_timeout=VISIBILITY_SECONDS,
        broker_transport_options={
            "visibility_timeout": VISIBILITY_SECONDS,
            "socket_timeout": 5,
            "socket_connect_timeout": 5,
            "queue_order_strategy": "priority",
        },
    )
    return app


def publish(app: Celery, queue: Queue, step_id: str) -> None:
    """Put one hint on a queue. Raises kombu's OperationalError when the broker does not answer."""
    app.send_task(TASK_NAMES[queue], args=[step_id], queue=queue.value)
