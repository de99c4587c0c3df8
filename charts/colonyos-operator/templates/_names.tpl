{{/* Name of everything that belongs to this release, and of the lease's holder set. */}}
{{- define "colonyos-operator.name" -}}
{{- if contains "colonyos-operator" .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}{{ printf "%s-colonyos-operator" .Release.Name | trunc 52 | trimSuffix "-" }}{{ end -}}
{{- end }}

{{- define "colonyos-operator.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "colonyos-operator.name" .) }}
{{- else }}{{ required "serviceAccount.name is empty: name the account to use, or set serviceAccount.create" .Values.serviceAccount.name }}{{ end -}}
{{- end }}

{{- define "colonyos-operator.selector" -}}
app.kubernetes.io/name: colonyos-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "colonyos-operator.labels" -}}
{{ include "colonyos-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Not those of the operator's pods, which Services and policies select. */}}
{{- define "colonyos-operator.testLabels" -}}
app.kubernetes.io/name: colonyos-operator-test
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "colonyos-operator.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* The lease is the one thing the operator may take by name, hence the name is needed in two places. */}}
{{- define "colonyos-operator.lease" -}}
{{- dig "leaderElection" "leaseName" "colonyos-operator" .Values.configuration -}}
{{- end }}

{{/* The webhook by which pods get executors of their own. */}}
{{- define "colonyos-operator.identities" -}}
{{- printf "%s-identities" (include "colonyos-operator.name" .) -}}
{{- end }}

{{/* Service and Secret of what the operator serves with TLS: conversions where users may make up kinds, and logs and outputs. */}}
{{- define "colonyos-operator.conversion" -}}
{{- printf "%s-conversion" (include "colonyos-operator.name" .) -}}
{{- end }}

{{/* Whether the operator serves anything with TLS. */}}
{{- define "colonyos-operator.serves" -}}
{{- if or .Values.userKinds.groups .Values.results.enabled .Values.podIdentities.enabled }}true{{ end -}}
{{- end }}

{{/* Policies judge what happens where this release works: another may watch other namespaces, with an account of its own. */}}
{{- define "colonyos-operator.watched" -}}
{{- with .Values.watchNamespaces -}}
matchResources:
  namespaceSelector:
    matchExpressions:
      - key: kubernetes.io/metadata.name
        operator: In
        values: {{ toJson . }}
{{- end }}
{{- end }}

{{/* Policies that keep users of defined kinds from borrowing the operator's rights. */}}
{{- define "colonyos-operator.kindPolicies" -}}
{{- range list "status" "composer" "adopter" }}
- {{ include "colonyos-operator.name" $ }}-{{ . }}
{{- end }}
{{- end }}

{{/* The configuration file: what the user set, and what the chart knows better. */}}
{{- define "colonyos-operator.configuration" -}}
{{- $known := dict "watchNamespaces" .Values.watchNamespaces "secretNamespaces" .Values.secretNamespaces "http" (dict "bindAddress" "0.0.0.0:8080") -}}
{{- if include "colonyos-operator.serves" . }}
{{- $name := include "colonyos-operator.conversion" . }}
{{- $_ := set $known "conversion" (dict "bindAddress" "0.0.0.0:9443" "serviceName" $name "secretName" $name) }}
{{- end }}
{{- if .Values.results.enabled }}
{{- $_ := set $known "results" (dict "bindAddress" "0.0.0.0:9444") }}
{{- end }}
{{- if .Values.podIdentities.enabled }}
{{- $_ := set $known "podIdentities" (dict "webhookConfiguration" (include "colonyos-operator.identities" .)) }}
{{- end }}
{{- $image := .Values.gate.image | default (include "colonyos-operator.image" .) }}
{{- $_ := set $known "gate" (dict "image" $image) }}
{{- if .Values.userKinds.groups }}
{{- $_ := set $known "kindPolicies" (include "colonyos-operator.kindPolicies" . | fromYamlArray) }}
{{- end }}
{{- mergeOverwrite (deepCopy .Values.configuration) $known | toYaml -}}
{{- end }}
