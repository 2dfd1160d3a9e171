{{/* Who may reach whom, as JSON: target → its port (none: all of them) and the components that may. */}}
{{- define "mstar.edges" -}}
{{- $mode := .Values.gpuSharing.mode -}}
{{- $people := include "mstar.scoringComponent" . -}}
{{- $workers := list "worker-rollout" "worker-score" -}}
{{- $stays := ternary (list) (list "trainer") (eq $mode "scaleToZero") -}}
{{- $sleeps := ternary (list "coordinator") (list) (eq $mode "colocated") -}}
{{- $relays := ternary (list "coordinator") $sleeps (eq $people "coordinator") -}}
{{- $edges := dict
  "coordinator" (dict "port" 8400 "from" (concat $workers (list "trainer" "policy" "prm") (ternary (list "scoring") (list) .Values.scoring.own) (list "test")))
  "policy" (dict "port" 8401 "from" (concat $workers $sleeps))
  "prm" (dict "port" 8402 "from" (concat $workers $relays (ternary (list "test") (list) (eq $people "prm")))) -}}
{{- if .Values.redis.enabled }}{{ $_ := set $edges "redis" (dict "port" 6379 "from" (concat $workers $stays (list "coordinator" "test"))) }}{{ end -}}
{{- if .Values.scoring.own }}{{ $_ := set $edges "scoring" (dict "port" 8402 "from" (list "test")) }}{{ end -}}
{{- /* Nodes of one training talk on ports that the collectives choose. */ -}}
{{- if gt (int .Values.trainer.nodes) 1 }}{{ $_ := set $edges "trainer" (dict "from" (list "trainer")) }}{{ end -}}
{{- toJson $edges -}}
{{- end }}

{{/* Components with business outside the release, as JSON: the database, the API of Kubernetes, a queue elsewhere, or the
object store, which is everyone's. */}}
{{- define "mstar.outside" -}}
{{- $outside := list -}}
{{- if or .Values.database.existingSecret (eq .Values.gpuSharing.mode "scaleToZero") }}{{ $outside = list "coordinator" }}{{ end -}}
{{- if not .Values.redis.enabled }}
{{- $outside = list "coordinator" "worker-rollout" "worker-score" "test" -}}
{{- if ne .Values.gpuSharing.mode "scaleToZero" }}{{ $outside = append $outside "trainer" }}{{ end -}}
{{- end -}}
{{- if .Values.storage.s3.bucketUrl }}
{{- $outside = list "coordinator" "worker-rollout" "worker-score" "trainer" "policy" "prm" "scoring" "test" -}}
{{- end -}}
{{- toJson $outside -}}
{{- end }}
