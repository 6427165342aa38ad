{{/* What every pod has: nobody's rights, nobody's token, the image's user. */}}
{{- define "lychgate.pod" -}}
serviceAccountName: {{ include "lychgate.name" . }}
{{ include "lychgate.pod.rights" . }}
{{- end }}

{{- define "lychgate.pod.rights" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{- define "lychgate.container" -}}
image: {{ include "lychgate.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{- define "lychgate.env" -}}
- {name: LYCHGATE_CONFIG, value: /etc/lychgate/config/lychgate.yaml}
{{- end }}

{{/* Where a part runs: (list . "gateway"). Spread over nodes, and over zones where there are some. */}}
{{- define "lychgate.placement" -}}
{{- $root := index . 0 }}{{ $part := index . 1 }}{{ $values := index $root.Values $part -}}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "lychgate.selector" (list $root $part) | nindent 8 }}
{{- end }}
{{- end }}

{{/* Configuration and rules, read by everybody. Folders are mounted whole: a file mounted alone is never renewed. */}}
{{- define "lychgate.mounts" -}}
- {name: config, mountPath: /etc/lychgate/config, readOnly: true}
- {name: rules, mountPath: /etc/lychgate/rules, readOnly: true}
{{- if not (dig "policies" "bundle" "" .Values.config) }}
- {name: policies, mountPath: /etc/lychgate/policies, readOnly: true}
{{- end }}
{{- range .Values.files }}
- {name: {{ printf "file-%s" .name }}, mountPath: {{ printf "/etc/lychgate/files/%s" .name }}, readOnly: true}
{{- end }}
{{- end }}

{{- define "lychgate.volumes" -}}
- name: config
  configMap: {name: {{ include "lychgate.name" . }}-config}
- name: rules
  configMap: {name: {{ .Values.rules.configMap | default (printf "%s-rules" (include "lychgate.name" .)) }}}
{{- if not (dig "policies" "bundle" "" .Values.config) }}
- name: policies
  configMap: {name: {{ .Values.rules.policiesConfigMap | default (printf "%s-policies" (include "lychgate.name" .)) }}}
{{- end }}
{{- range .Values.files }}
- name: {{ printf "file-%s" .name }}
  {{- if .secret }}
  secret: {secretName: {{ .secret }}, defaultMode: 0440}
  {{- else }}
  configMap: {name: {{ .configMap }}}
  {{- end }}
{{- end }}
{{- end }}

{{/* Secrets by the name of what they hold: (list . "writer" "keeper"). A pod is given what its process logs in with. */}}
{{- define "lychgate.secret.mounts" -}}
{{- range rest . }}
- {name: {{ printf "secret-%s" . }}, mountPath: {{ printf "/run/secrets/lychgate/%s" . }}, readOnly: true}
{{- end }}
{{- end }}

{{- define "lychgate.secret.volumes" -}}
{{- $root := index . 0 }}
{{- $keys := dict "context" "context.jwk" "cursor" "cursor.key" "seal" "seal.pem" "kafka" "password" }}
{{- range uniq (rest .) }}
- name: {{ printf "secret-%s" . }}
  secret:
    defaultMode: 0440
    {{- if has . (list "owner" "writer" "reader" "keeper") }}
    secretName: {{ $root.Values.secrets.store }}
    items: [{key: {{ . }}, path: password}]
    {{- else }}
    secretName: {{ index $root.Values.secrets . }}
    {{- with index $keys . }}
    items: [{key: {{ . }}, path: {{ . }}}]
    {{- end }}
    {{- end }}
{{- end }}
{{- end }}

{{/* What delivers needs, as a comma-separated list: the broker's password, or the store's writer. */}}
{{- define "lychgate.deliverer" -}}
{{- if include "lychgate.direct" . }}writer{{ else }}
{{- ternary "kafka," "" (ne .Values.secrets.kafka "") }}{{ ternary "writer" "" (dig "audit" "sinks" "store" false .Values.config) }}
{{- end }}
{{- end }}

{{/* A state folder: a claim of the pod's own, or nothing that lasts: (list . "gateway"). */}}
{{- define "lychgate.state" -}}
{{- $root := index . 0 }}{{ $spool := (index $root.Values (index . 1)).spool -}}
{{- if eq $spool.kind "claim" }}
persistentVolumeClaimRetentionPolicy:
  whenDeleted: Retain
  whenScaled: Retain
volumeClaimTemplates:
  - apiVersion: v1
    kind: PersistentVolumeClaim
    metadata:
      name: state
      labels:
        {{- include "lychgate.selector" . | nindent 8 }}
    spec:
      accessModes: [{{ $spool.accessMode | default "ReadWriteOncePod" }}]
      {{- with $spool.storageClass }}
      storageClassName: {{ . }}
      {{- end }}
      resources:
        requests: {storage: {{ $spool.size }}}
{{- end }}
{{- end }}

{{- define "lychgate.state.volume" -}}
{{- $root := index . 0 }}{{ $spool := (index $root.Values (index . 1)).spool -}}
{{- if eq $spool.kind "emptyDir" }}
- name: state
  emptyDir: {sizeLimit: {{ $spool.size }}}
{{- end }}
{{- end }}
