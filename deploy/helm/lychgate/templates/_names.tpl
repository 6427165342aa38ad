{{- define "lychgate.name" -}}
{{- $name := ternary .Release.Name (printf "%s-lychgate" .Release.Name) (contains "lychgate" .Release.Name) -}}
{{- if not (regexMatch "^[a-z][a-z0-9-]*$" $name) }}{{ fail (printf "the release's name `%s` must begin with a letter and hold letters, digits and dashes only: it becomes part of producer ids" .Release.Name) }}{{ end -}}
{{- $name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* What selects the pods of a part: (list . "gateway"). */}}
{{- define "lychgate.selector" -}}
app.kubernetes.io/name: lychgate
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "lychgate.labels" -}}
{{ include "lychgate.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ printf "%s-%s" (index . 0).Chart.Name (index . 0).Chart.Version }}
{{- end }}

{{- define "lychgate.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end }}

{{- define "lychgate.direct" -}}
{{ ternary "" "yes" (ne .Values.kafka.bootstrapServers "") }}
{{- end }}
