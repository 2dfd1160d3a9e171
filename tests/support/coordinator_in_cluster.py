"""The coordinator as `python -m mstar_coordinator` starts it in its pod.

The first argument is the address that the pod's service account would give for the Kubernetes API.
"""

import sys
import time

from kubernetes import client

from mstar.environment import read_settings
from mstar.steps import Queue
from mstar_coordinator.api.app import build_app
from mstar_coordinator.cluster.kubernetes import HelmRelease, KubernetesCluster
from mstar_coordinator.config import CoordinatorSettings
from mstar_coordinator.scheduler.celery_publisher import CeleryPublisher
from mstar_coordinator.store.database import open_store
from mstar_web.serve import run


def main() -> None:
    settings = read_settings(CoordinatorSettings)
    release = HelmRelease(
        settings.cluster_namespace,
        settings.cluster_instance,
        settings.cluster_prefix,
        {Queue.ROLLOUT: settings.policy_replicas, Queue.SCORE: settings.prm_replicas},
        settings.job_template,
    )
    cluster = KubernetesCluster(release, client.ApiClient(client.Configuration(host=sys.argv[1])))
    publisher = CeleryPublisher(settings.broker_url.get_secret_value())
    run(build_app(settings, open_store(settings.store_url()), publisher, time.monotonic, cluster), settings)


main()
