"""httpx for servers of this machine, which speak no TLS.

httpx makes a TLS context for every call and every client of its own, whatever the URL says: 40 to
50 ms of CPU, which is more than most of the tests that call a server take.
"""

from functools import partial

import httpx

delete = partial(httpx.delete, verify=False)
get = partial(httpx.get, verify=False)
patch = partial(httpx.patch, verify=False)
post = partial(httpx.post, verify=False)
request = partial(httpx.request, verify=False)
Client = partial(httpx.Client, verify=False)
