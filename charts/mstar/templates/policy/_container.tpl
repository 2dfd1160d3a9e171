{{/* The policy: (dict "root" $ "shared" true) in a pod where others use the same GPUs in turn. */}}
{{- define "mstar.policyContainer" -}}
{{- $gpus := ternary .root.Values.gpuSharing.gpus .root.Values.policy.gpus .shared -}}
- name: policy
  image: {{ include "mstar.image" (dict "root" .root "image" .root.Values.policy.image) }}
  {{- include "mstar.container" (dict "root" .root) | nindent 2 }}
  ports: [{name: policy, containerPort: 8401}]
  env:
    - {name: MSTAR_POLICY_HOST, value: 0.0.0.0}
    - {name: MSTAR_POLICY_PORT, value: "8401"}
    - {name: MSTAR_POLICY_HOME, value: /data}
    - {name: MSTAR_POLICY_COORDINATOR_URL, value: "http://{{ include "mstar.fullname" .root }}-coordinator:8400"}
    {{- include "mstar.storageEnv" (dict "root" .root "prefix" "MSTAR_POLICY_") | nindent 4 }}
    - {name: MSTAR_POLICY_ENGINE, value: {{ .root.Values.policy.engine }}}
    - {name: MSTAR_POLICY_GPU_MEMORY_SHARE, value: {{ .root.Values.policy.gpuMemoryShare | quote }}}
    {{- if .shared }}
    - {name: MSTAR_POLICY_SLEEP_IN_PLACE, value: "true"}
    {{- end }}
    - {name: MSTAR_POLICY_TENSOR_PARALLEL, value: {{ max 1 (int $gpus) | quote }}}
    {{- include "mstar.keyEnv" (dict "root" .root "name" "MSTAR_POLICY_INTERNAL_KEY" "key" "internal-key") | nindent 4 }}
    {{- include "mstar.keyEnv" (dict "root" .root "name" "MSTAR_POLICY_METRICS_KEY" "key" "metrics-key") | nindent 4 }}
    {{- include "mstar.keyEnv" (dict "root" .root "name" "MSTAR_POLICY_WEIGHTS_ADMIN_KEY" "key" "weights-admin-key") | nindent 4 }}
    {{- with include "mstar.tracesEnv" .root }}{{ . | nindent 4 }}{{ end }}
    {{- with .root.Values.policy.extraEnv }}{{ toYaml . | nindent 4 }}{{ end }}
  {{- /* Never unready for want of weights: workers push them to a pod that has none. */}}
  {{- include "mstar.probes" (dict "port" "policy" "seconds" .root.Values.policy.startupSeconds "ready" "") | nindent 2 }}
  resources: {{- include "mstar.resources" (dict "root" .root "values" .root.Values.policy "shared" .shared) | nindent 4 }}
  volumeMounts:
    - {name: artefacts, mountPath: /data}
    - {name: tmp, mountPath: /tmp}
    - {name: shm, mountPath: /dev/shm}
    {{- with .root.Values.policy.extraVolumeMounts }}{{ toYaml . | nindent 4 }}{{ end }}
{{- end }}
