# The gateway as an image: docker build -t openclaw-gateway . (docs/deploy.md#container)
FROM python:3.13-slim

# The application's files belong to root and cannot be changed by it; all it writes is in /data.
RUN groupadd --system --gid 10001 gateway \
    && useradd --system --uid 10001 --gid gateway --no-log-init --home-dir /data gateway \
    && install --directory --owner gateway --group gateway --mode 0700 /data

WORKDIR /app
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock
COPY . .
RUN python -m compileall -q app wsgi.py

ENV OPENCLAW_STATE_DIR=/data \
    PORT=8080 \
    PYTHONUNBUFFERED=1
USER gateway
VOLUME ["/data"]
EXPOSE 8080
# Open streams go on to their end for up to 25 seconds: give it 30 (docker stop --time 30).
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=4); c.request('GET', '/health'); sys.exit(c.getresponse().status != 200)"]
# gunicorn's sign of life is a file, which belongs in memory: a disk that is busy would look like a worker that hangs.
CMD ["gunicorn", "-c", "gunicorn.conf.py", "--worker-tmp-dir", "/dev/shm", "wsgi:app"]
