"""The pages: each has a path, a name, a layout and callbacks."""

from dashboard.pages import latency, service_graph

PAGES = (service_graph, latency)
