{{- define "operator.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "operator.selector" -}}
app.kubernetes.io/name: modelserver-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "operator.labels" -}}
{{ include "operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{/* Exactly the verbs that the operator uses; tests/operator asserts that none is missing and none is unused. */}}
{{- define "operator.rules" -}}
- apiGroups: [modelserver.dev]
  resources: [modelservers]
  verbs: [get, list, watch]
- apiGroups: [modelserver.dev]
  resources: [modelservers/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [configmaps, services]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  # Deleted when the object names an existing ServiceAccount.
  resources: [serviceaccounts]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch]
- apiGroups: [apps]
  # The pod templates that are kept, and their configuration.
  resources: [controllerrevisions]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [autoscaling]
  # Those of others are listed, so that the operator does not fight with them.
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [keda.sh]
  resources: [scaledobjects]
  verbs: [get, list, create, patch, delete]
- apiGroups: [autoscaling.x-k8s.io]
  resources: [capacitybuffers]
  verbs: [get, list, create, patch, delete]
- apiGroups: [autoscaling.k8s.io]
  # Of others.
  resources: [verticalpodautoscalers]
  verbs: [list]
- apiGroups: [""]
  # An annotation makes the kubelet update the mounted ConfigMap immediately. Pods that nodes reject are
  # deleted: Kubernetes keeps 12500 of them.
  resources: [pods]
  verbs: [list, watch, patch, delete]
- apiGroups: [""]
  # Listed for a pod that waits without saying why; counted up when the same happens again.
  resources: [events]
  verbs: [list, create, patch]
{{- end -}}

{{/* Where the operator holds a Lease. */}}
{{- define "operator.election" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [modelserver-operator]
  verbs: [get, update]
{{- end -}}
