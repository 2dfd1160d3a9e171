{{/* Pod of the trainer: (dict "root" $ "job" true) for one step and then the end, else the worker that stays. */}}
{{- define "mstar.trainerPod" -}}
{{- $values := .root.Values.trainer -}}
{{ include "mstar.pod" (dict "root" .root "values" $values) }}
terminationGracePeriodSeconds: 120
{{- if .job }}
restartPolicy: Never
{{- if and (gt (int $values.nodes) 1) (eq $values.workload "Job") }}
subdomain: {{ include "mstar.fullname" .root }}-trainer
{{- end }}
{{- end }}
containers:
  {{- include "mstar.trainerContainer" (dict "root" .root "job" .job "shared" false) | nindent 2 }}
volumes:
  {{- include "mstar.dataVolume" (dict "root" .root) | nindent 2 }}
  - {name: tmp, emptyDir: {}}
  - {name: shm, emptyDir: {medium: Memory, sizeLimit: {{ $values.shmSize }}}}
  {{- with $values.extraVolumes }}{{ toYaml . | nindent 2 }}{{ end }}
{{- end }}

{{/* A batch/v1 JobSpec of all nodes. A failed attempt is the coordinator's to repeat, so Kubernetes repeats nothing. */}}
{{- define "mstar.trainerJobSpec" -}}
{{- $labels := include "mstar.labels" (dict "root" . "component" "trainer") -}}
backoffLimit: 0
completionMode: Indexed
completions: {{ .Values.trainer.nodes }}
parallelism: {{ .Values.trainer.nodes }}
template:
  metadata:
    labels: {{- $labels | nindent 6 }}
  spec: {{- include "mstar.trainerPod" (dict "root" . "job" true) | nindent 4 }}
{{- end }}
