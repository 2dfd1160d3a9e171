# The coordinator: API, state machine, and (with the arguments `worker --queues …`) its workers.
#
# docker build -f docker/coordinator.Dockerfile -t mstar-coordinator .
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS build
# Where packages come from in a closed network; HTTP_PROXY and HTTPS_PROXY are arguments of every build already.
ARG PIP_INDEX_URL=
ARG CA_CERTIFICATE=
ENV PIP_CERT=/tmp/ca.pem
COPY docker/trust.py /tmp/trust.py
RUN python3 -m venv /opt/mstar && /opt/mstar/bin/python /tmp/trust.py /tmp/ca.pem
COPY docker/locks/coordinator.txt /tmp/lock.txt
# The Kubernetes client has all of its API twice; the asynchronous half, 68 MB, is never imported.
RUN /opt/mstar/bin/pip install --no-cache-dir --no-deps --require-hashes -r /tmp/lock.txt \
    && rm -r /opt/mstar/lib/python3.*/site-packages/kubernetes/aio

FROM ${BASE_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG SOURCE_URL=
LABEL org.opencontainers.image.title="mstar-coordinator" \
      org.opencontainers.image.description="Coordinator of self-evolving multimodal training" \
      org.opencontainers.image.source="${SOURCE_URL}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# torch asks for the user's name; USER below has one for those that no passwd file knows.
RUN groupadd --gid 10001 mstar \
    && useradd --uid 10001 --gid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin mstar \
    && install -d -o 10001 -g 10001 /data
COPY --from=build /opt/mstar /opt/mstar
COPY shared/mstar /srv/shared/mstar
COPY shared/mstar_artefacts /srv/shared/mstar_artefacts
COPY shared/mstar_data /srv/shared/mstar_data
COPY shared/mstar_eval /srv/shared/mstar_eval
COPY shared/mstar_models /srv/shared/mstar_models
COPY shared/mstar_web /srv/shared/mstar_web
COPY shared/mstar_worker /srv/shared/mstar_worker
COPY shared/minivista /srv/shared/minivista
COPY services/mstar_coordinator /srv/services/mstar_coordinator
COPY recipes /srv/recipes
ENV PATH=/opt/mstar/bin:$PATH \
    PYTHONPATH=/srv/shared:/srv/services \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HUB_OFFLINE=1 \
    HOME=/tmp \
    USER=mstar \
    MSTAR_COORDINATOR_HOME=/data \
    MSTAR_COORDINATOR_HOST=0.0.0.0 \
    MSTAR_COORDINATOR_PORT=8400 \
    MSTAR_WORKER_HOME=/data
USER 10001:10001
WORKDIR /data
EXPOSE 8400
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8400/livez', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "mstar_coordinator"]
