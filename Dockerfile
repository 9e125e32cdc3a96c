# The program with what the main job and storages need, in the versions of constraints.txt, for a user that is not root:
#   docker build --tag babeltune .
#   docker run --rm --volume "$PWD/runs:/home/ray/runs" babeltune babeltune --config quickstart
# For GPUs add `--gpus all` to `docker run`; torch's wheel for Linux brings CUDA along. Cluster files take this image in
# place of an installation at start (docs/cluster.md), which is why user and folder are named as in Ray's own images.
FROM python:3.11-slim AS build
WORKDIR /build
COPY pyproject.toml README.md LICENSE cluster.yaml constraints.txt ./
COPY configs configs
COPY model model
COPY trainables trainables
COPY search search
RUN pip wheel --no-cache-dir --no-deps --wheel-dir dist .

FROM python:3.11-slim
# Ray's launcher copies files by rsync over ssh, `ray stop` reads ps, and KubeRay's probes call wget.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends openssh-client procps rsync wget \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 ray
COPY constraints.txt /opt/babeltune/
RUN pip install --no-cache-dir --constraint /opt/babeltune/constraints.txt torch==2.13.0
COPY --from=build /build/dist /opt/babeltune/dist
RUN pip install --no-cache-dir --constraint /opt/babeltune/constraints.txt \
    "$(echo /opt/babeltune/dist/babeltune-*.whl)[storage]"
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 1000
WORKDIR /home/ray
CMD ["babeltune", "--help"]
