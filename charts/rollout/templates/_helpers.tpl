{{- define "rollout.labels" -}}
app.kubernetes.io/name: rollout
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: rollout
{{- end }}

{{- define "rollout.image" -}}
{{ required "image: name the image to run, such as --set image=registry.example.com/rollout:0.1.0" .Values.image }}
{{- end }}

{{- define "rollout.metricsServer" -}}
{{- if .Values.metricsServer -}}
{{ .Values.metricsServer }}
{{- else if .Values.prometheus.install -}}
http://rollout-prometheus.{{ .Release.Namespace }}:9090
{{- else -}}
http://prometheus:9090
{{- end -}}
{{- end }}

{{- define "rollout.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1337
runAsGroup: 1337
fsGroup: 1337
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "rollout.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "rollout.pullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
{{ toYaml . | indent 2 }}
{{- end }}
{{- end }}

{{- define "rollout.prometheusConfig" -}}
global:
  scrape_interval: {{ .Values.prometheus.scrapeInterval }}
  scrape_timeout: {{ .Values.prometheus.scrapeInterval }}
scrape_configs:
  - job_name: kubernetes-pods
    kubernetes_sd_configs:
      - role: pod
    relabel_configs:
      - source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scrape]
        action: keep
        regex: "true"
      - source_labels: [__meta_kubernetes_pod_phase]
        action: drop
        regex: Pending|Succeeded|Failed|Completed
      - source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_path]
        action: replace
        target_label: __metrics_path__
        regex: (.+)
      - source_labels: [__meta_kubernetes_pod_ip, __meta_kubernetes_pod_annotation_prometheus_io_port]
        action: replace
        separator: ;
        regex: ([0-9.]+);([0-9]+)
        replacement: $1:$2
        target_label: __address__
      - source_labels: [__meta_kubernetes_pod_ip, __meta_kubernetes_pod_annotation_prometheus_io_port]
        action: replace
        separator: ;
        regex: ([0-9a-f]*:[0-9a-f:]+);([0-9]+)
        replacement: "[$1]:$2"
        target_label: __address__
      - source_labels: [__meta_kubernetes_namespace]
        target_label: namespace
      - source_labels: [__meta_kubernetes_pod_name]
        target_label: pod
{{- end }}

{{/* Where the mesh reads Secrets for gateways, separated by commas. */}}
{{- define "rollout.credentialNamespaces" -}}
{{- $named := join "," .Values.mesh.credentialNamespaces -}}
{{- if and .Values.gateway.enabled $named -}}
{{ .Release.Namespace }},{{ $named }}
{{- else if .Values.gateway.enabled -}}
{{ .Release.Namespace }}
{{- else -}}
{{ $named }}
{{- end -}}
{{- end }}
