# Serves a bundle that is mounted read-only at /bundle:
#   docker build -t isthmus .
#   docker run --rm --read-only --tmpfs /tmp -v "$PWD/shop.bundle:/bundle:ro" -p 127.0.0.1:8000:8000 isthmus
FROM python:3.13-slim

# PyTorch for the CPU: the default wheels bring several gigabytes of CUDA.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1

WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY src src
COPY adapters adapters
RUN version=$(sed -n 's/^torch==//p' constraints.txt) \
    && pip install --index-url "$TORCH_INDEX" "torch==$version" \
    && pip install -c constraints.txt ".[all,serve]" \
    && rm -rf /src

RUN useradd --create-home --uid 10001 isthmus
USER isthmus
WORKDIR /home/isthmus

EXPOSE 8000
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/ready', timeout=3)"]
ENTRYPOINT ["isthmus", "serve", "--host", "0.0.0.0"]
CMD ["/bundle"]
