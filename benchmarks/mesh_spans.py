"""Synthetic spans of a mesh, made inside ClickHouse: 200 services, ten spans a trace.

Two calls deep: each trace is answered by a front service, which calls a middle one, which calls a
back one; middle and back ask a database, back asks a host outside. About 1,300 edges in all. Every
span has 11 attributes and 6 of its resource; two in a hundred traces fail.
"""

from collector.store.client import Store

SPANS_A_TRACE = 10

# `number` is that of the span. What is random is a hash of the trace's number.
SPANS = """
WITH
intDiv(number, 10) AS t,
number % 10 AS k,
cityHash64(t) AS h,
h % 40 AS front,
40 + (front * 7 + intDiv(h, 64) % 7) % 80 AS middle,
120 + (middle * 7 + intDiv(h, 1024) % 10) % 80 AS back,
[front, front, middle, middle, middle, middle, back, back, back, back][k + 1] AS of,
[2, 3, 2, 3, 1, 3, 2, 3, 1, 3][k + 1] AS kind_of,
[0, 1, 2, 3, 3, 3, 6, 7, 7, 7][k + 1] AS parent,
[front, middle, middle, middle, middle, back, back, back, back, back][k + 1] AS asked,
intDiv(h, 7) % 50 = 0 AND k IN (0, 1, 5, 6) AS failed,
cityHash64(t, k) AS r,
toUInt64(exp2(12 + (r % 97 + intDiv(r, 97) % 97 + intDiv(r, 9409) % 97) / 50.) * [900, 800, 500, 90, 20, 300, 200, 60, 10, 40][k + 1]) AS lasts_ns,
concat('/api/v1/', ['cart', 'items', 'users', 'orders'][of % 4 + 1], '/') AS route,
toString(r % 100000) AS entity
SELECT
    fromUnixTimestamp64Nano(toInt64({start_ns} + toUInt64(({length_ns} / {traces}) * t) + k * 150000 + r % 100000)) AS time,
    toFixedString(unhex(concat(leftPad(hex(cityHash64(t, 'a')), 16, '0'), leftPad(hex(cityHash64(t, 'b')), 16, '0'))), 16) AS trace_id,
    cityHash64(t, k, 's') AS span_id,
    if(parent = 0, 0, cityHash64(t, parent - 1, 's')) AS parent_id,
    concat('service-', toString(of), '.shop') AS service,
    [concat('GET ', route, '{{id}}'), 'GET', concat('GET ', route, '{{id}}'), 'SELECT orders', 'render', 'GET', concat('GET ', route, '{{id}}'), 'SELECT items', 'serialize', 'POST'][k + 1] AS name,
    toInt8(kind_of) AS kind,
    toInt8(if(failed, 2, 0)) AS status,
    toUInt8(failed) AS error,
    toUInt16(multiIf(kind_of = 1 OR k IN (3, 7), 0, failed, 503, 200)) AS http_status,
    lasts_ns AS duration_ns,
    CAST(multiIf(
        kind_of = 2, map(
            'http.request.method', 'GET', 'url.path', concat(route, entity), 'url.scheme', 'http',
            'http.route', concat(route, '{{id}}'), 'http.response.status_code', toString(http_status),
            'network.protocol.version', '1.1', 'server.address', concat(service, '.svc.cluster.local'),
            'client.address', concat('10.', toString(r % 8), '.', toString(intDiv(r, 8) % 250), '.', toString(intDiv(r, 2000) % 250)),
            'user_agent.original', ['okhttp/4.12.0', 'python-requests/2.32', 'Go-http-client/1.1'][r % 3 + 1],
            'user.id', concat('u', toString(intDiv(h, 13) % 50000)), 'thread.id', toString(r % 64)
        ),
        k IN (3, 7), map(
            'db.system', 'postgresql', 'db.name', ['orders', 'items'][k % 3 + 1], 'db.operation', 'SELECT',
            'db.sql.table', ['orders', 'items'][k % 3 + 1], 'db.user', 'app', 'db.statement', 'SELECT * FROM orders WHERE id = $1',
            'server.address', concat('pg-', toString(of % 12), '.shop'), 'server.port', '5432',
            'db.rows', toString(r % 40), 'thread.id', toString(r % 64), 'pool.wait_us', toString(r % 3000)
        ),
        kind_of = 3, map(
            'http.request.method', 'GET', 'url.full', concat('http://service-', toString(asked), '.shop', route, entity),
            'http.response.status_code', toString(http_status), 'network.protocol.version', '1.1',
            'server.address', if(k = 9, 'api.payments.example', concat('service-', toString(asked), '.shop.svc.cluster.local')),
            'server.port', '8080', 'network.peer.address', concat('10.1.', toString(asked), '.', toString(r % 3)),
            'http.request.body.size', toString(r % 900), 'http.response.body.size', toString(intDiv(r, 900) % 9000),
            'retry', '0', 'thread.id', toString(r % 64)
        ),
        map(
            'code.function', name, 'code.namespace', 'shop.views', 'code.filepath', '/app/shop/views.py',
            'code.lineno', toString(100 + of), 'cache.hit', toString(r % 2), 'items', toString(r % 50),
            'bytes', toString(r % 30000), 'template', concat(name, '.html'), 'locale', ['en', 'de', 'fr'][r % 3 + 1],
            'thread.id', toString(r % 64), 'feature', ['a', 'b'][r % 2 + 1]
        )
    ), 'Map(String, String)') AS attributes,
    CAST(map(
        'service.name', service, 'service.version', concat('1.', toString(of % 9), '.0'), 'k8s.namespace.name', 'shop',
        'k8s.pod.name', concat('service-', toString(of), '-', toString(h % 3)), 'telemetry.sdk.language', ['python', 'go', 'java'][of % 3 + 1],
        'telemetry.sdk.version', '1.27.0'
    ), 'Map(String, String)') AS resource
FROM numbers({first}, {count})
"""

BLOCK = 500_000


def make_spans(store: Store, table: str, spans: int, start_ns: int, length_ns: int) -> None:
    """`spans` of them evenly over the time told, into a table with the columns of `SPANS`."""
    columns = (
        "time, trace_id, span_id, parent_id, service, name, kind, status, error, http_status, "
        "duration_ns, attributes, resource"
    )
    for first in range(0, spans, BLOCK):
        made = SPANS.format(
            start_ns=start_ns,
            length_ns=length_ns,
            traces=spans // SPANS_A_TRACE,
            first=first,
            count=min(BLOCK, spans - first),
        )
        store.command(f"INSERT INTO {table} ({columns}) {made}")
