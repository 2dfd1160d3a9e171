{{/* A worker of the coordinator: (dict "root" $ "name" "worker" "queues" "score" "coordinator" <host> "values" .Values.workers). */}}
{{- define "mstar.workerContainer" -}}
- name: {{ .name }}
  image: {{ include "mstar.image" (dict "root" .root "image" .root.Values.coordinator.image) }}
  args: [worker, --queues, {{ .queues | quote }}]
  {{- include "mstar.container" (dict "root" .root) | nindent 2 }}
  env:
    - {name: MSTAR_WORKER_HOME, value: /data}
    {{- include "mstar.storageEnv" (dict "root" .root "prefix" "MSTAR_WORKER_") | nindent 4 }}
    - {name: MSTAR_WORKER_COORDINATOR_URL, value: "http://{{ .coordinator }}:8400"}
    - {name: MSTAR_WORKER_POLICY_URL, value: "http://{{ include "mstar.fullname" .root }}-policy:8401"}
    - {name: MSTAR_WORKER_PRM_URL, value: "http://{{ include "mstar.fullname" .root }}-prm-replicas:8402"}
    {{- include "mstar.brokerEnv" (dict "root" .root "name" "MSTAR_WORKER_BROKER_URL") | nindent 4 }}
    {{- include "mstar.keyEnv" (dict "root" .root "name" "MSTAR_WORKER_INTERNAL_KEY" "key" "internal-key") | nindent 4 }}
    {{- include "mstar.keyEnv" (dict "root" .root "name" "MSTAR_WORKER_WEIGHTS_ADMIN_KEY" "key" "weights-admin-key") | nindent 4 }}
    {{- with include "mstar.tracesEnv" .root }}{{ . | nindent 4 }}{{ end }}
    {{- with .values.extraEnv }}{{ toYaml . | nindent 4 }}{{ end }}
  {{- include "mstar.workerProbes" .root | nindent 2 }}
  resources: {{- include "mstar.resources" (dict "values" .values) | nindent 4 }}
  volumeMounts:
    - {name: artefacts, mountPath: /data}
    - {name: tmp, mountPath: /tmp}
    {{- with .values.extraVolumeMounts }}{{ toYaml . | nindent 4 }}{{ end }}
{{- end }}
