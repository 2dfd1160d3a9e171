{{/* The PRM: (dict "root" $ "component" "prm" "values" .Values.prm "shared" true), shared as for the policy. */}}
{{- define "mstar.prmContainer" -}}
{{- $gpus := ternary .root.Values.gpuSharing.gpus .values.gpus .shared -}}
- name: prm
  image: {{ include "mstar.image" (dict "root" .root "image" .root.Values.prm.image) }}
  {{- include "mstar.container" (dict "root" .root) | nindent 2 }}
  ports: [{name: prm, containerPort: 8402}]
  env:
    - {name: MSTAR_PRM_HOST, value: 0.0.0.0}
    - {name: MSTAR_PRM_PORT, value: "8402"}
    - {name: MSTAR_PRM_HOME, value: /data}
    - {name: MSTAR_PRM_COORDINATOR_URL, value: "http://{{ include "mstar.fullname" .root }}-coordinator:8400"}
    {{- include "mstar.storageEnv" (dict "root" .root "prefix" "MSTAR_PRM_") | nindent 4 }}
    - {name: MSTAR_PRM_ENGINE, value: {{ .root.Values.prm.engine }}}
    {{- if eq .root.Values.prm.engine "vllm" }}
    - {name: MSTAR_PRM_TENSOR_PARALLEL, value: {{ max 1 (int $gpus) | quote }}}
    {{- end }}
    {{- include "mstar.keyEnv" (dict "root" .root "name" "MSTAR_PRM_SCORE_KEY" "key" "score-key") | nindent 4 }}
    {{- include "mstar.keyEnv" (dict "root" .root "name" "MSTAR_PRM_INTERNAL_KEY" "key" "internal-key") | nindent 4 }}
    {{- include "mstar.keyEnv" (dict "root" .root "name" "MSTAR_PRM_METRICS_KEY" "key" "metrics-key") | nindent 4 }}
    {{- include "mstar.keyEnv" (dict "root" .root "name" "MSTAR_PRM_WEIGHTS_ADMIN_KEY" "key" "weights-admin-key") | nindent 4 }}
    {{- if eq .component "scoring" }}
    - {name: MSTAR_PRM_MODEL, value: {{ .values.model | quote }}}
    {{- end }}
    {{- with include "mstar.tracesEnv" .root }}{{ . | nindent 4 }}{{ end }}
    {{- with .values.extraEnv }}{{ toYaml . | nindent 4 }}{{ end }}
  {{- /* Where people come to these pods, they reach those with weights only. Elsewhere a pod is ready as soon as it
  lives: who waits for weights before giving it work waits for ever, since it is with the work that they come. */}}
  {{- $people := eq .component (include "mstar.scoringComponent" .root) }}
  {{- include "mstar.probes" (dict "port" "prm" "seconds" .values.startupSeconds "ready" (ternary "/readyz" "" $people)) | nindent 2 }}
  resources: {{- include "mstar.resources" (dict "root" .root "values" .values "shared" .shared) | nindent 4 }}
  volumeMounts:
    - {name: artefacts, mountPath: /data}
    - {name: tmp, mountPath: /tmp}
    - {name: shm, mountPath: /dev/shm}
    {{- with .values.extraVolumeMounts }}{{ toYaml . | nindent 4 }}{{ end }}
{{- end }}
