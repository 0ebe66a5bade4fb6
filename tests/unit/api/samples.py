"""Canaries that tests share: the one that Istio in Action 5.3.1 applies, and one that sets every field there is."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import yaml

BOOK: dict[str, Any] = yaml.safe_load("""
apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: catalog-release, namespace: istioinaction}
spec:
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: catalog}
  progressDeadlineSeconds: 60
  service: {name: catalog, port: 80, targetPort: 3000, gateways: [mesh], hosts: [catalog]}
  analysis:
    interval: 45s
    threshold: 5
    maxWeight: 50
    stepWeight: 10
    metrics:
    - {name: request-success-rate, thresholdRange: {min: 99}, interval: 1m}
    - {name: request-duration, thresholdRange: {max: 500}, interval: 30s}
""")

FULL: dict[str, Any] = yaml.safe_load("""
apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: full, namespace: test}
spec:
  provider: istio
  metricsServer: http://prometheus.monitoring:9090
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: podinfo}
  autoscalerRef:
    apiVersion: autoscaling/v2
    kind: HorizontalPodAutoscaler
    name: podinfo
    primaryScalerQueries: {trigger: up}
    primaryScalerReplicas: {minReplicas: 2, maxReplicas: 5}
  ingressRef: {apiVersion: networking.k8s.io/v1, kind: Ingress, name: podinfo}
  routeRef: {apiVersion: apisix.apache.org/v2, kind: ApisixRoute, name: podinfo}
  upstreamRef: {apiVersion: gloo.solo.io/v1, kind: Upstream, name: podinfo, namespace: gloo}
  progressDeadlineSeconds: 60
  skipAnalysis: false
  revertOnDeletion: true
  suspend: false
  service:
    name: podinfo
    port: 9898
    portName: http
    targetPort: http
    appProtocol: http
    portDiscovery: true
    trafficDistribution: PreferClose
    headless: false
    timeout: 15s
    backendTimeout: 5s
    meshName: mesh
    backends: [a, b]
    hosts: [app.example.com, "*.example.com"]
    gateways: [istio-system/public, mesh]
    gatewayRefs: [{name: gateway, namespace: istio-system, sectionName: http, port: 80}]
    match:
    - uri: {prefix: /}
      method: {regex: GET|POST}
      authority: {exact: app.example.com}
      headers: {x-user: {exact: tester}, x-present: {}}
      withoutHeaders: {x-robot: {prefix: bot}}
      queryParams: {debug: {exact: "true"}}
      sourceLabels: {app: web}
      port: 80
      gateways: [mesh]
      ignoreUriCase: true
    rewrite: {uri: /, authority: podinfo}
    retries: {attempts: 3, perTryTimeout: 1s, retryOn: "gateway-error,connect-failure"}
    headers:
      request: {set: {x-a: "1"}, add: {x-b: "2"}, remove: [x-c]}
      response: {add: {x-d: "3"}}
    corsPolicy:
      allowOrigins: [{exact: https://example.com}]
      allowMethods: [GET]
      allowCredentials: false
      allowHeaders: [x-a]
      exposeHeaders: [x-d]
      maxAge: 24h
    trafficPolicy:
      tls: {mode: ISTIO_MUTUAL}
      loadBalancer: {simple: ROUND_ROBIN}
      connectionPool:
        tcp: {maxConnections: 100, connectTimeout: 1s}
        http: {http1MaxPendingRequests: 10, http2MaxRequests: 100, h2UpgradePolicy: UPGRADE, idleTimeout: 30s}
      outlierDetection: {consecutive5xxErrors: 5, interval: 10s, baseEjectionTime: 30s, maxEjectionPercent: 50}
    mirror: [{backendRef: {name: shadow, port: 9898}}]
    apex: {labels: {a: b}, annotations: {c: d}}
    primary: {labels: {a: b}}
    canary: {annotations: {c: d}}
    unmanagedMetadata: {labels: [x], annotations: [y]}
  analysis:
    interval: 1m
    threshold: 10
    maxWeight: 50
    stepWeights: [5, 10, 50]
    stepWeightPromotion: 25
    mirror: true
    mirrorWeight: 50
    primaryReadyThreshold: 90
    canaryReadyThreshold: 80
    match:
    - headers: {cookie: {regex: "^(.*?;)?(canary=always)(;.*)?$"}, x-team: {suffix: -qa}}
      queryParams: {canary: {exact: "1"}}
      sourceLabels: {app: web}
    metrics:
    - name: request-success-rate
      threshold: 99
    - name: error rate
      interval: 1h30m
      thresholdRange: {min: 0.5, max: 5}
      query: 'sum(rate(errors{app="{{ target }}",code=~"{{ variables.code }}"}[{{ interval }}]))'
      templateVariables: {code: 5..}
    - name: latency
      thresholdRange: {max: 500}
      templateRef: {name: latency, namespace: flagger}
      direction: increase
    webhooks:
    - name: load
      type: rollout
      url: http://loadtester.test/
      timeout: 5s
      retries: 3
      muteAlert: true
      disableTLS: true
      metadata: {type: cmd, cmd: hey}
    alerts:
    - {name: on-call, severity: error, providerRef: {name: slack, namespace: flagger}}
    sessionAffinity:
      cookieName: canary
      primaryCookieName: primary
      domain: example.com
      httpOnly: true
      maxAge: 3600
      partitioned: true
      path: /
      sameSite: Lax
      secure: true
    judge:
      method: sequential
      alpha: 0.02
      beta: 0.1
      tolerance: 0.02
      maxDuration: 15m
      baseline: primary
      onInconclusive: rollback
""")


def with_change(canary: dict[str, Any], change: Callable[[Any], object]) -> dict[str, Any]:
    """A copy of the canary whose spec was changed."""
    copied = copy.deepcopy(canary)
    change(copied["spec"])
    return copied
