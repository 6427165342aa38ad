{{/* What the chart decides of lychgate.yaml. */}}
{{- define "lychgate.owned" -}}
{{- $name := include "lychgate.name" . -}}
{{- $secrets := "/run/secrets/lychgate" -}}
gateway:
  host: 0.0.0.0
  port: 8080
  workers: {{ .Values.gateway.workers }}
  unready_s: {{ .Values.gateway.unreadySeconds }}
  drain_s: {{ .Values.gateway.drainSeconds }}
  routes_file: /etc/lychgate/rules/routes.toml
  roles_file: /etc/lychgate/rules/roles.toml
  {{- if .Values.secrets.tls }}
  tls:
    cert_file: {{ $secrets }}/tls/tls.crt
    key_file: {{ $secrets }}/tls/tls.key
  {{- end }}
ops:
  host: 0.0.0.0
  port: 8081
query:
  host: 0.0.0.0
  port: 8082
  jwks_url: http://{{ $name }}-gateway-ops:8081/.well-known/jwks.json
  cursor_key_file: {{ $secrets }}/cursor/cursor.key
context:
  key_file: {{ $secrets }}/context/context.jwk
{{- if not (dig "policies" "bundle" "" .Values.config) }}
policies:
  folder: /etc/lychgate/policies
{{- end }}
revocation:
  folder: /var/lib/lychgate/revocations
{{- with .Values.redis.url }}
redis:
  url: {{ . | quote }}
  password_file: {{ $secrets }}/fleet/redis-password
  fleet_key_file: {{ $secrets }}/fleet/fleet-key
{{- end }}
audit:
  spool:
    folder: /var/lib/lychgate/spool
  relay:
    metrics_host: 0.0.0.0
    metrics_port: 9465
  integrity:
    checkpoint_file: /var/lib/lychgate/integrity/checkpoints.jsonl
    {{- if .Values.secrets.seal }}
    key_file: {{ $secrets }}/seal/seal.pem
    {{- end }}
  {{- with .Values.kafka }}
  {{- if .bootstrapServers }}
  kafka:
    bootstrap_servers: {{ .bootstrapServers | quote }}
    security_protocol: {{ .securityProtocol }}
    consumer_metrics_host: 0.0.0.0
    consumer_metrics_port: 9464
    {{- if .sasl }}
    sasl:
      {{- toYaml .sasl | nindent 6 }}
      password_file: {{ $secrets }}/kafka/password
    {{- end }}
  {{- end }}
  {{- end }}
store:
  host: {{ .Values.store.host | quote }}
  port: {{ .Values.store.port }}
  database: {{ .Values.store.database | quote }}
  {{- range $login, $user := dict "owner" .Values.store.owner "writer" "audit_writer" "reader" "audit_reader" "keeper" "audit_keeper" }}
  {{ $login }}:
    user: {{ $user | quote }}
    password_file: {{ $secrets }}/{{ $login }}/password
  {{- end }}
{{- end }}

{{/* Refuse a key of `config` that the chart decides: (list path given owned). */}}
{{- define "lychgate.refuse" -}}
{{- $path := index . 0 }}{{ $given := index . 1 }}{{ $owned := index . 2 -}}
{{- range $key, $value := $given }}
{{- if hasKey $owned $key }}
{{- $ours := index $owned $key }}
{{- $here := printf "%s.%s" $path $key }}
{{- if and (kindIs "map" $ours) (kindIs "map" $value) }}
{{- include "lychgate.refuse" (list $here $value $ours) }}
{{- else }}
{{- fail (printf "%s is decided by the chart: see its values" $here) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Refuse the text of a secret anywhere in `config`, which becomes a ConfigMap: (list path given). The names are those
of the settings that hold one. */}}
{{- define "lychgate.refuse.secrets" -}}
{{- $path := index . 0 -}}
{{- range $key, $value := index . 1 }}
{{- $here := printf "%s.%s" $path $key }}
{{- if has $key (list "password" "key_password" "dsn") }}
{{- fail (printf "%s is a secret, and config becomes a ConfigMap: put it into a Secret, mount that with `files`, and name the file" $here) }}
{{- end }}
{{- if kindIs "map" $value }}{{ include "lychgate.refuse.secrets" (list $here $value) }}{{ end }}
{{- end }}
{{- end }}

{{- define "lychgate.config" -}}
{{- $owned := include "lychgate.owned" . | fromYaml -}}
{{- if hasKey $owned "Error" }}{{ fail (printf "what the chart decides is no YAML: %s" $owned.Error) }}{{ end -}}
{{- include "lychgate.refuse" (list "config" .Values.config $owned) -}}
{{- include "lychgate.refuse.secrets" (list "config" .Values.config) -}}
{{- $audit := dict "services" (dict "audit" (printf "http://%s-query:8082" (include "lychgate.name" .))) -}}
{{- mustMergeOverwrite $audit (deepCopy .Values.config) $owned | toYaml -}}
{{- end }}

{{/* What would be unsafe and cannot be seen in any one value. */}}
{{- define "lychgate.check" -}}
{{- $most := ternary .Values.gateway.autoscaling.maxReplicas .Values.gateway.replicas .Values.gateway.autoscaling.enabled | int -}}
{{- range list "gateway" "query" }}
{{- if and (eq (index $.Values .).spool.kind "emptyDir") (not $.Values.audit.guarantee.ephemeral) }}
{{- fail (printf "%s.spool.kind is emptyDir: the audit's records would be deleted with the pod. Use a claim, or say audit.guarantee.ephemeral=true if they may be lost" .) }}
{{- end }}
{{- end }}
{{- if and (gt $most 1) (not .Values.redis.url) (not .Values.gateway.revocationsStayLocal) }}
{{- fail "more than one gateway needs redis.url: without it a revocation holds only on the gateway it was told to (gateway.revocationsStayLocal=true accepts that)" }}
{{- end }}
{{- if and .Values.gateway.autoscaling.enabled (lt $most (int .Values.gateway.autoscaling.minReplicas)) }}
{{- fail "gateway.autoscaling.maxReplicas is less than minReplicas" }}
{{- end }}
{{- if dig "audit" "kafka" "bootstrap_servers" "" .Values.config }}{{ fail "config.audit.kafka.bootstrap_servers is decided by the chart: give kafka.bootstrapServers, and there is a consumer" }}{{ end }}
{{- if dig "redis" "url" "" .Values.config }}{{ fail "config.redis.url is decided by the chart: give redis.url" }}{{ end }}
{{- if and .Values.kafka.bootstrapServers (hasPrefix "SASL_" .Values.kafka.securityProtocol) (not .Values.kafka.sasl) }}
{{- fail (printf "kafka.securityProtocol is %s: give kafka.sasl with mechanism and username, and secrets.kafka" .Values.kafka.securityProtocol) }}
{{- end }}
{{- if and .Values.kafka.sasl (not .Values.secrets.kafka) }}
{{- fail "kafka.sasl needs secrets.kafka: a Secret with the password" }}
{{- end }}
{{- if not (or .Values.rules.configMap (and .Values.rules.routes .Values.rules.roles)) }}
{{- fail "give rules.configMap, or rules.routes and rules.roles: without routes nothing is forwarded" }}
{{- end }}
{{- if and .Values.rules.configMap (or .Values.rules.routes .Values.rules.roles) }}
{{- fail "rules.configMap stands beside rules.routes or rules.roles, which nobody would read: give one of the two" }}
{{- end }}
{{- $from := list }}
{{- range list .Values.rules.policiesConfigMap .Values.rules.policies (dig "policies" "bundle" "" .Values.config) }}{{ with . }}{{ $from = append $from . }}{{ end }}{{ end }}
{{- if gt (len $from) 1 }}
{{- fail "policies come from one of rules.policiesConfigMap, rules.policies and config.policies.bundle; the others would be read by nobody" }}
{{- end }}
{{- if not (or .Values.rules.policiesConfigMap .Values.rules.policies (dig "policies" "bundle" "" .Values.config)) }}
{{- fail "give rules.policiesConfigMap, rules.policies or config.policies.bundle: without policies everything is denied" }}
{{- end }}
{{- end }}
