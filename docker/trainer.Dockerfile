# The trainer: a Celery worker that trains under DeepSpeed.
#
# docker build -f docker/trainer.Dockerfile -t mstar-trainer .
# On a CPU: --build-arg BASE_IMAGE=python:3.11-slim-bookworm --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG BASE_IMAGE=pytorch/pytorch:2.13.0-cuda13.0-cudnn9-runtime

FROM ${BASE_IMAGE} AS build
# Where packages come from in a closed network; HTTP_PROXY and HTTPS_PROXY are arguments of every build already.
ARG PIP_INDEX_URL=
ARG CA_CERTIFICATE=
ENV PIP_CERT=/tmp/ca.pem
COPY docker/trust.py /tmp/trust.py
ARG TORCH_INDEX=
ARG TORCH_SHA256=
# A GPU base brings its own torch, which the environment sees; without one the CPU build is installed, and nothing else of
# its index. Indexes differ in that wheel, so its hash, where it shall be held against one, is an argument.
RUN python3 -m venv --system-site-packages /opt/mstar \
    && /opt/mstar/bin/python /tmp/trust.py /tmp/ca.pem \
    && echo "torch==2.13.0 ${TORCH_SHA256:+--hash=sha256:${TORCH_SHA256}}" > /tmp/torch.txt \
    && { /opt/mstar/bin/python -c "import torch" 2>/dev/null || /opt/mstar/bin/pip install --no-cache-dir --no-deps \
    ${TORCH_INDEX:+--index-url "${TORCH_INDEX}"} -r /tmp/torch.txt; }
COPY docker/locks/trainer.txt /tmp/lock.txt
RUN /opt/mstar/bin/pip install --no-cache-dir --no-deps --require-hashes -r /tmp/lock.txt \
    && /opt/mstar/bin/python -c "import torch"
# DeepSpeed is built against the torch that is there; its kernels are compiled by nobody, since none is used.
COPY docker/locks/deepspeed.txt /tmp/deepspeed.txt
RUN DS_BUILD_OPS=0 /opt/mstar/bin/pip install --no-cache-dir --no-deps --no-build-isolation --require-hashes \
    -r /tmp/deepspeed.txt

FROM ${BASE_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG SOURCE_URL=
LABEL org.opencontainers.image.title="mstar-trainer" \
      org.opencontainers.image.description="Trainer of policy and process reward model" \
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
COPY shared/mstar_web /srv/shared/mstar_web
COPY shared/mstar_worker /srv/shared/mstar_worker
COPY shared/mstar_models /srv/shared/mstar_models
COPY services/mstar_trainer /srv/services/mstar_trainer
ENV PATH=/opt/mstar/bin:$PATH \
    PYTHONPATH=/srv/shared:/srv/services \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HUB_OFFLINE=1 \
    HOME=/tmp \
    USER=mstar \
    MSTAR_TRAINER_HOME=/data
USER 10001:10001
WORKDIR /data
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s --retries=3 \
    CMD ["python", "-m", "mstar_worker.alive"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "mstar_trainer"]
