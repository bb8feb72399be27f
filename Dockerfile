# The first stage makes wheels; the image contains only what they install: no torch, no compiler.
FROM python:3.11-slim-bookworm AS wheels
WORKDIR /source
COPY pyproject.toml setup.py MANIFEST.in README.md LICENSE ./
COPY build_hooks build_hooks
COPY constraints constraints
COPY lurcher lurcher
COPY models models
COPY bundle bundle
COPY feedback feedback
COPY retrieval retrieval
COPY evaluation evaluation
COPY index_builder index_builder
COPY server server
COPY training training
COPY benchmarks benchmarks
COPY cli cli
RUN pip wheel --no-cache-dir --wheel-dir /wheels -c constraints/base.txt .

FROM python:3.11-slim-bookworm
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index /wheels/*.whl \
    && useradd --system --create-home --uid 10001 lurcher
USER 10001
# On a container's loopback address, nobody outside could reach the server.
ENV LURCHER_HOST=0.0.0.0 LURCHER_PORT=8080 LURCHER_BUNDLE=/bundle
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ.get(\"LURCHER_PORT\") or 8080}/readyz', timeout=2)"]
ENTRYPOINT ["lurcher"]
CMD ["serve"]
