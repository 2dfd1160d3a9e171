{{/* The trainer: (dict "root" $ "job" true "shared" false) for one step and then the end, else the worker that stays. */}}
{{- define "mstar.trainerContainer" -}}
# The name by which Kubeflow's trainer finds it.
- name: {{ ternary "node" "trainer" .job }}
  image: {{ include "mstar.image" (dict "root" .root "image" .root.Values.trainer.image) }}
  {{- if .job }}
  args: [job]
  # What it said last is told by the coordinator when it ends before it could tell anything itself.
  terminationMessagePolicy: FallbackToLogsOnError
  ports: [{name: meeting, containerPort: 29500, protocol: TCP}]
  {{- end }}
  {{- include "mstar.container" (dict "root" .root) | nindent 2 }}
  env:
    - {name: MSTAR_TRAINER_HOME, value: /data}
    {{- include "mstar.storageEnv" (dict "root" .root "prefix" "MSTAR_TRAINER_") | nindent 4 }}
    - {name: MSTAR_TRAINER_COORDINATOR_URL, value: "http://{{ include "mstar.fullname" .root }}-coordinator:8400"}
    {{- if not .job }}
    {{- include "mstar.brokerEnv" (dict "root" .root "name" "MSTAR_TRAINER_BROKER_URL") | nindent 4 }}
    {{- end }}
    {{- include "mstar.keyEnv" (dict "root" .root "name" "MSTAR_TRAINER_INTERNAL_KEY" "key" "internal-key") | nindent 4 }}
    {{- if .shared }}
    - {name: MSTAR_TRAINER_RESIDENT, value: "false"}
    {{- end }}
    {{- with include "mstar.tracesEnv" .root }}{{ . | nindent 4 }}{{ end }}
    {{- with .root.Values.trainer.extraEnv }}{{ toYaml . | nindent 4 }}{{ end }}
  {{- if not .job }}
  {{- include "mstar.workerProbes" .root | nindent 2 }}
  {{- end }}
  resources: {{- include "mstar.resources" (dict "root" .root "values" .root.Values.trainer "shared" .shared) | nindent 4 }}
  volumeMounts:
    - {name: artefacts, mountPath: /data}
    - {name: tmp, mountPath: /tmp}
    - {name: shm, mountPath: /dev/shm}
    {{- with .root.Values.trainer.extraVolumeMounts }}{{ toYaml . | nindent 4 }}{{ end }}
{{- end }}
