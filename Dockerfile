# vtep and ExaBGP in one image: a leaf runs a container of each from it, or both in one.
#
#     docker build -t vtep:dev .
#     docker run --rm --network host --cap-drop ALL --cap-add NET_ADMIN --security-opt no-new-privileges \
#         --read-only --tmpfs /run --volume vtep:/run/vtep --volume /etc/vtep:/etc/vtep:ro vtep:dev
#
# docs/install.md has all of it. BASE is any image with Python 3.11 or newer and Debian's apt.
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
WORKDIR /src
COPY requirements/ requirements/
# pip comes along as a wheel, so that neither environment needs one, and the one that is shipped has none.
RUN export PYTHONPATH="$(echo requirements/pip-*.whl)" options="--no-cache-dir --no-deps --require-hashes --only-binary=:all:" \
 && python3 -m venv --without-pip /opt/vtep \
 && /opt/vtep/bin/python -m pip install $options -r requirements/run.txt \
 && python3 -m venv --without-pip /opt/build \
 && /opt/build/bin/python -m pip install $options -r requirements/run.txt -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY vtep/ vtep/
RUN /opt/build/bin/python -m hatchling build -t wheel \
 && PYTHONPATH="$(echo requirements/pip-*.whl)" /opt/vtep/bin/python -m pip install --no-deps --no-index dist/*.whl

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="vtep" \
      org.opencontainers.image.description="The EVPN VTEP dataplane that sits next to ExaBGP on a Linux leaf" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# For people who look into the container, and for labs that wire it: the product itself speaks netlink.
RUN apt-get update --quiet=2 \
 && apt-get install --quiet=2 --yes --no-install-recommends iproute2 nftables \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
COPY --from=build /opt/vtep /opt/vtep
# The user of ExaBGP's container (`--user exabgp`), whose group may use the feed socket. There is no USER here, because the daemon
# would lose CAP_NET_ADMIN with it: an engine gives a user other than root no effective capability, and file capabilities
# have no effect under no-new-privileges. docs/decisions/0015 compares the ways.
RUN groupadd --system --gid 979 exabgp \
 && useradd --system --uid 979 --gid exabgp --no-create-home --home-dir / --shell /usr/sbin/nologin exabgp
# The ledger of claims and the sockets: a volume there outlives the container.
RUN mkdir -p -m 0755 /run/vtep /etc/vtep
ENV PATH=/opt/vtep/bin:$PATH
HEALTHCHECK --interval=15s --timeout=5s --start-period=150s --retries=3 CMD ["vtep", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["vtep"]
CMD ["run", "--config", "/etc/vtep/vtep.toml"]
