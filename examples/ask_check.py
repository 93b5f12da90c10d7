"""Asks the collector whether a request may pass, as Envoy's ext_authz does over HTTP.

python examples/ask_check.py [http://127.0.0.1:4318 [SOURCE [DESTINATION [PATH]]]]
"""

import sys

import httpx

DEFAULTS = ["http://127.0.0.1:4318", "storefront", "checkout", "/cart"]


def main() -> None:
    given = sys.argv[1:]
    collector, source, destination, path = given + DEFAULTS[len(given) :]
    answer = httpx.get(
        f"{collector}/authz{path}",
        headers={
            "x-envoy-downstream-service-cluster": source,
            "x-mesh-destination": destination,
        },
    )
    if answer.status_code == httpx.codes.OK:
        print(f"{source} may ask {destination} for {path}")
        return
    rule = answer.headers.get("x-meshmeter-rule")
    if rule is None:
        sys.exit(f"no decision: {answer.status_code} {answer.text}")
    print(f"{source} may not ask {destination} for {path}: {answer.status_code} by rule {rule}")
    if "retry-after" in answer.headers:
        print(f"again in {answer.headers['retry-after']} s")


if __name__ == "__main__":
    main()
