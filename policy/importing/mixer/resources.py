"""The resources of Mixer's configuration, as Kubernetes writes them.

Source: istio 1.0 to 1.7, mixer/pkg/runtime/config
"""

from collections.abc import Iterator
from dataclasses import dataclass

from policy.importing.nodes import Table
from policy.importing.places import Place, Refused

VERSIONS = ("config.istio.io/v1alpha2", "rbac.istio.io/v1alpha1")
NO_NAMESPACE = "default"  # where Kubernetes puts what names none
TELEMETRY_ADAPTERS = frozenset(
    {
        "circonus", "cloudwatch", "dogstatsd", "fluentd", "prometheus", "signalfx", "solarwinds",
        "stackdriver", "statsd", "stdio", "zipkin",
    }
)  # fmt: skip
TELEMETRY_TEMPLATES = frozenset(
    {"edge", "logentry", "metric", "reportnothing", "servicecontrolreport", "tracespan"}
)
ADAPTERS = TELEMETRY_ADAPTERS | {
    "bypass", "denier", "kubernetesenv", "listchecker", "memquota", "noop", "opa", "rbac",
    "redisquota", "servicecontrol",
}  # fmt: skip
TEMPLATES = TELEMETRY_TEMPLATES | {
    "apikey", "authorization", "checknothing", "kubernetes", "listentry", "quota",
}  # fmt: skip
ROLES = frozenset({"ServiceRole", "ServiceRoleBinding"})
RESOURCES = ROLES | {"QuotaSpec", "QuotaSpecBinding", "attributemanifest", "rule"}
OTHERS = {  # of Istio, and why they are not imported
    "adapter": "adapters out of process are not called",
    "template": "templates of adapters out of process are not known",
    "HTTPAPISpec": "operations of an API are not told from paths",
    "HTTPAPISpecBinding": "operations of an API are not told from paths",
    "RbacConfig": "where authorization applies is said by the rules themselves",
    "ClusterRbacConfig": "where authorization applies is said by the rules themselves",
}


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    root: Place
    kind: str
    name: str
    namespace: str
    spec: Place | None

    @property
    def key(self) -> tuple[str, str, str]:
        return self.name, self.kind, self.namespace

    def need_spec(self) -> Place:
        """Raises Refused."""
        if self.spec is None:
            raise Refused(self.root, "spec is required")
        return self.spec


@dataclass(frozen=True, slots=True, eq=False)
class Handler(Resource):
    adapter: str
    params: Place | None


@dataclass(frozen=True, slots=True, eq=False)
class Instance(Resource):
    template: str
    params: Place | None


def is_mixer(root: Place) -> bool:
    return isinstance(root.node, Table) and {"kind", "metadata"} <= root.node.entries.keys()


def is_list(root: Place) -> bool:
    return isinstance(root.node, Table) and {"kind", "items"} <= root.node.entries.keys()


def single(roots: list[Place]) -> Iterator[Place]:
    """Those in a `kind: List` too."""
    for root in roots:
        try:
            if not is_list(root):
                yield root
                continue
            root.need("kind").text()
            for key, found in root.entries().items():
                if key not in ("kind", "items"):
                    found.ignore("is Kubernetes' own")
            yield from single(root.need("items").items())
        except Refused as error:
            error.place.refuse(error.reason)


def resource(root: Place) -> Resource:
    """Raises Refused."""
    version = root.get("apiVersion")
    if version and version.text() not in VERSIONS:
        raise Refused(version, f"expected one of {', '.join(VERSIONS)}")
    kind = root.need("kind").text()
    if kind in OTHERS:
        raise Refused(root, OTHERS[kind])
    if kind not in ADAPTERS | TEMPLATES | RESOURCES | {"handler", "instance"}:
        raise Refused(root, f"{kind} is no kind of Mixer's")
    metadata = root.need("metadata")
    name = metadata.need("name").text()
    namespace = metadata.get("namespace")
    if namespace is None and kind in RESOURCES:
        metadata.changed(f"names no namespace: taken for {NO_NAMESPACE}")
    status = root.get("status")
    if status:
        status.ignore("is Kubernetes' own")
    for key, place in metadata.entries().items():
        if key not in ("name", "namespace"):
            place.ignore("is Kubernetes' own")
    known = (root, kind, name, namespace.text() if namespace else NO_NAMESPACE, root.get("spec"))
    spec = known[-1]
    if kind in ADAPTERS:
        return Handler(*known, kind, spec)
    if kind in TEMPLATES:
        return Instance(*known, kind, spec)
    if kind not in ("handler", "instance"):
        return Resource(*known)
    of_kind = root.need("spec")
    params = of_kind.get("params")
    if kind == "handler":
        adapter = of_kind.need("compiledAdapter", "compiled_adapter", "adapter")
        return Handler(*known, adapter.text(), params)
    template = of_kind.need("compiledTemplate", "compiled_template", "template")
    return Instance(*known, template.text(), params)
