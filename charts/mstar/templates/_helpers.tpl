{{- define "mstar.fullname" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* Labels of an object: (dict "root" $ "component" "policy"). */}}
{{- define "mstar.labels" -}}
{{ include "mstar.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "mstar.selector" -}}
app.kubernetes.io/name: mstar
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* A digest wins over a tag, and the image's own tag over that of all. */}}
{{- define "mstar.image" -}}
{{- if .image.digest }}{{ .root.Values.image.registry }}{{ .image.repository }}@{{ .image.digest }}
{{- else }}{{ .root.Values.image.registry }}{{ .image.repository }}:{{ coalesce .image.tag .root.Values.image.tag .root.Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "mstar.keysSecret" -}}
{{ .Values.keys.existingSecret | default (printf "%s-keys" (include "mstar.fullname" .)) }}
{{- end }}

{{- define "mstar.redisSecret" -}}
{{ .Values.redis.existingSecret | default (printf "%s-redis" (include "mstar.fullname" .)) }}
{{- end }}

{{/* With an object store the claim is the coordinator's alone, and another one: modes of a claim cannot be changed. */}}
{{- define "mstar.claim" -}}
{{- $made := printf "%s-%s" (include "mstar.fullname" .) (ternary "home" "artefacts" (not (empty .Values.storage.s3.bucketUrl))) -}}
{{ .Values.storage.existingClaim | default $made }}
{{- end }}

{{/* What is at /data: (dict "root" $ "own" true) for the coordinator, whose own data it has; to others it is a cache where
there is an object store. Twice the cache's bound, which leaves out what is being written. */}}
{{- define "mstar.dataVolume" -}}
{{- if and .root.Values.storage.s3.bucketUrl (not .own) -}}
- {name: artefacts, emptyDir: {sizeLimit: {{ mul 2 .root.Values.storage.s3.cacheGigabytes }}G}}
{{- else -}}
- {name: artefacts, persistentVolumeClaim: {claimName: {{ include "mstar.claim" .root }}}}
{{- end }}
{{- end }}

{{/* Where artefacts are, for the service of a prefix: (dict "root" $ "prefix" "MSTAR_POLICY_"). */}}
{{- define "mstar.storageEnv" -}}
{{- with .root.Values.storage.s3 }}
{{- if .bucketUrl }}
- {name: {{ $.prefix }}ARTEFACTS, value: {{ .bucketUrl | quote }}}
{{- with .endpoint }}
- {name: {{ $.prefix }}ARTEFACTS_ENDPOINT, value: {{ . | quote }}}
{{- end }}
- {name: {{ $.prefix }}ARTEFACTS_CACHE_GIGABYTES, value: {{ .cacheGigabytes | quote }}}
{{- include "mstar.s3Env" $.root }}
{{- end }}
{{- end }}
{{- end }}

{{/* Region and credentials, where AWS tools look for them. */}}
{{- define "mstar.s3Env" -}}
{{- with .Values.storage.s3 }}
{{- with .region }}
- {name: AWS_DEFAULT_REGION, value: {{ . | quote }}}
{{- end }}
{{- with .existingSecret }}
- name: AWS_ACCESS_KEY_ID
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: access-key-id}
- name: AWS_SECRET_ACCESS_KEY
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: secret-access-key}
{{- end }}
{{- end }}
{{- end }}

{{/* An environment variable from the keys: (dict "root" $ "name" "MSTAR_…_KEY" "key" "internal-key"). */}}
{{- define "mstar.keyEnv" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef: {name: {{ include "mstar.keysSecret" .root }}, key: {{ .key }}}
{{- end }}

{{/* The queue's URL; the password of our own is put in by the kubelet, so it is in no manifest. */}}
{{- define "mstar.brokerEnv" -}}
{{- if .root.Values.redis.enabled }}
- name: REDIS_PASSWORD
  valueFrom:
    secretKeyRef: {name: {{ include "mstar.redisSecret" .root }}, key: password}
- name: {{ .name }}
  value: redis://:$(REDIS_PASSWORD)@{{ include "mstar.fullname" .root }}-redis:6379/0
{{- else }}
- name: {{ .name }}
  valueFrom:
    secretKeyRef: {name: {{ .root.Values.redis.externalSecret }}, key: url}
{{- end }}
{{- end }}

{{/* An egress rule to the port of a URL, in the cluster or outside, but not to what tells a machine its credentials. */}}
{{- define "mstar.egressTo" -}}
{{- $address := urlParse . -}}
- to:
    - namespaceSelector: {}
    - ipBlock: {cidr: 0.0.0.0/0, except: [169.254.0.0/16]}
    - ipBlock: {cidr: "::/0", except: ["fd00:ec2::254/128", "fe80::/10"]}
  ports: [{port: {{ regexFind ":[0-9]+$" $address.host | trimPrefix ":" | default (ternary "443" "80" (eq $address.scheme "https")) }}, protocol: TCP}]
{{- end }}

{{/* Where spans are sent, in the variables that OpenTelemetry has for it. */}}
{{- define "mstar.tracesEnv" -}}
{{- with .Values.traces }}
{{- if .endpoint }}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ .endpoint | quote }}}
- {name: OTEL_TRACES_SAMPLER, value: parentbased_traceidratio}
- {name: OTEL_TRACES_SAMPLER_ARG, value: {{ .share | quote }}}
{{- with .headersSecret }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: headers}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* What every pod has in common: (dict "root" $ "values" .Values.policy), and "account" for who calls Kubernetes. */}}
{{- define "mstar.pod" -}}
enableServiceLinks: false
{{- /* A container's first process ignores SIGTERM until it has a handler; with the pod's own init it is not the first. */}}
shareProcessNamespace: true
automountServiceAccountToken: {{ empty .account | not }}
{{- /* Named in every mode: where the field is dropped, the API server puts the last name back from its old twin. */}}
serviceAccountName: {{ .account | default "default" }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets: {{ toJson . }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
securityContext: {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
{{- $selector := .values.nodeSelector | default dict }}
{{- with .root.Values.storage.pinToNode }}{{ $selector = merge (dict "kubernetes.io/hostname" .) $selector }}{{ end }}
{{- with $selector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{ toJson . }}
{{- end }}
{{- with .values.affinity }}
affinity: {{ toJson . }}
{{- end }}
{{- with .values.topologySpreadConstraints }}
topologySpreadConstraints: {{ toJson . }}
{{- end }}
{{- end }}

{{- define "mstar.container" -}}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* Requests and limits with the GPUs among them; "shared": those that the pod has claimed for all its containers. */}}
{{- define "mstar.resources" -}}
{{- $limits := .values.resources.limits | default dict }}
{{- if and .values.gpus (not .shared) }}{{ $limits = merge (dict "nvidia.com/gpu" .values.gpus) $limits }}{{ end -}}
requests: {{ toJson (.values.resources.requests | default dict) }}
limits: {{ toJson $limits }}
{{- if and .shared .root.Values.gpuSharing.gpus }}
claims: [{name: gpus}]
{{- end }}
{{- end }}

{{/* Probes of an HTTP service: a start may take long, a hang may not. */}}
{{- define "mstar.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: {{ .port | default "http" }}}
  periodSeconds: 5
  timeoutSeconds: 4
  failureThreshold: {{ div (add .seconds 4) 5 }}
livenessProbe:
  httpGet: {path: /livez, port: {{ .port | default "http" }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- if .ready }}
readinessProbe:
  httpGet: {path: {{ .ready }}, port: {{ .port | default "http" }}}
  periodSeconds: 5
  timeoutSeconds: 4
{{- end }}
{{- end }}

{{/* A quantity of memory in Mi, rounded up. */}}
{{- define "mstar.mebibytes" -}}
{{- $number := regexFind "^[0-9.]+" . -}}
{{- $units := dict "m" 1e-3 "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624 -}}
{{- ceil (divf (mulf $number (get $units (trimPrefix $number .))) 1048576) | int64 -}}
{{- end }}

{{/* Component that answers people at the PRM's address. */}}
{{- define "mstar.scoringComponent" -}}
{{- if .Values.scoring.own }}scoring{{ else if ne .Values.gpuSharing.mode "dedicated" }}coordinator{{ else }}prm{{ end }}
{{- end }}

{{/* Label of the pods that a component runs in: (dict "root" $ "component" "policy"). */}}
{{- define "mstar.podComponent" -}}
{{- if and (eq .root.Values.gpuSharing.mode "colocated") (has .component (list "policy" "prm" "trainer")) }}gpus{{ else }}{{ .component }}{{ end }}
{{- end }}

{{/* Template of the claim of the GPUs that one pod shares. Its content cannot be changed, so other content has another
name. */}}
{{- define "mstar.gpuClaim" -}}
{{- $sharing := .Values.gpuSharing -}}
{{ include "mstar.fullname" . }}-gpus-{{ printf "%v %s" $sharing.gpus $sharing.deviceClass | sha256sum | trunc 8 }}
{{- end }}

{{/* A worker has no port: it touches a file while it lives, and hangs when it does not. */}}
{{- define "mstar.workerProbes" -}}
startupProbe:
  exec: {command: [python, -m, mstar_worker.alive]}
  periodSeconds: 5
  timeoutSeconds: 10
  failureThreshold: 60
livenessProbe:
  exec: {command: [python, -m, mstar_worker.alive]}
  periodSeconds: 30
  timeoutSeconds: 10
  failureThreshold: 3
{{- end }}

{{/* Of the given keys and of a Secret that is not ours. Made keys are left out: they are kept, and a rendering that cannot
see them would make others. */}}
{{- define "mstar.checksum" -}}
checksum/keys: {{ list .root.Values.keys (include "mstar.secretData" (dict "root" .root "name" .root.Values.keys.existingSecret)) | toJson | sha256sum }}
{{- with .root.Values.storage.s3.existingSecret }}
checksum/s3: {{ include "mstar.secretData" (dict "root" $.root "name" .) | sha256sum }}
{{- end }}
{{- end }}

{{/* For those who speak to the queue: a password that changes is told to both ends. */}}
{{- define "mstar.queueChecksum" -}}
checksum/queue: {{ include "mstar.secretData" (dict "root" . "name" (.Values.redis.existingSecret | default .Values.redis.externalSecret)) | sha256sum }}
{{- end }}

{{/* What a Secret holds, where the cluster can be seen. */}}
{{- define "mstar.secretData" -}}
{{- if .name }}{{ (lookup "v1" "Secret" .root.Release.Namespace .name).data | default dict | toJson }}{{ end }}
{{- end }}
