# One image for collector, worker, beat, dashboard and migrate.
FROM python:3.11-slim-bookworm AS build
COPY requirements /src/requirements
RUN python -m venv /opt/meshmeter \
    && /opt/meshmeter/bin/pip install --no-cache-dir --require-hashes -r /src/requirements/server.txt
COPY . /src
RUN /opt/meshmeter/bin/pip install --no-cache-dir --no-deps /src

FROM python:3.11-slim-bookworm
RUN useradd --system --create-home --home-dir /var/lib/meshmeter meshmeter
COPY --from=build /opt/meshmeter /opt/meshmeter
ENV PATH=/opt/meshmeter/bin:$PATH MESHMETER_DATA_DIR=/var/lib/meshmeter
USER meshmeter
WORKDIR /var/lib/meshmeter
VOLUME /var/lib/meshmeter
ENTRYPOINT ["meshmeter"]
CMD ["--help"]
