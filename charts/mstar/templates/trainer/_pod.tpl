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
  # The name by which Kubeflow's trainer finds it.
  - name: {{ ternary "node" "trainer" .job }}
    image: {{ include "mstar.image" (dict "root" .root "image" $values.image) }}
    {{- if .job }}
    args: [job]
    ports: [{name: meeting, containerPort: 29500, protocol: TCP}]
    {{- end }}
    {{- include "mstar.container" (dict "root" .root) | nindent 4 }}
    env:
      - {name: MSTAR_TRAINER_HOME, value: /data}
      - {name: MSTAR_TRAINER_COORDINATOR_URL, value: "http://{{ include "mstar.fullname" .root }}-coordinator:8400"}
      {{- if not .job }}
      {{- include "mstar.brokerEnv" (dict "root" .root "name" "MSTAR_TRAINER_BROKER_URL") | nindent 6 }}
      {{- end }}
      {{- include "mstar.keyEnv" (dict "root" .root "name" "MSTAR_TRAINER_INTERNAL_KEY" "key" "internal-key") | nindent 6 }}
      {{- with $values.extraEnv }}{{ toYaml . | nindent 6 }}{{ end }}
    {{- if not .job }}
    {{- include "mstar.workerProbes" .root | nindent 4 }}
    {{- end }}
    resources: {{- include "mstar.resources" (dict "values" $values) | nindent 6 }}
    volumeMounts:
      - {name: artefacts, mountPath: /data}
      - {name: tmp, mountPath: /tmp}
      - {name: shm, mountPath: /dev/shm}
      {{- with $values.extraVolumeMounts }}{{ toYaml . | nindent 6 }}{{ end }}
volumes:
  - {name: artefacts, persistentVolumeClaim: {claimName: {{ include "mstar.claim" .root }}}}
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
