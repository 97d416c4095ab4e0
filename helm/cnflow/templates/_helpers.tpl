{{/* Names, labels and parts that several templates share. */}}

{{/* Begins the names of all objects, and is what drivers call the pools by: 40 characters, so that a pool's name can follow. */}}
{{- define "cnflow.fullname" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Labels by which selectors find pods; they must not change between versions of the chart. */}}
{{- define "cnflow.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "cnflow.labels" -}}
{{ include "cnflow.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: cnflow
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
cnflow.org/release: {{ include "cnflow.fullname" . }}
{{- end -}}

{{/* Labels of pods: none that changes with a version, since that would replace all pods of pools. */}}
{{- define "cnflow.podLabels" -}}
{{ include "cnflow.selector" . }}
app.kubernetes.io/part-of: cnflow
cnflow.org/release: {{ include "cnflow.fullname" . }}
{{- end -}}

{{- define "cnflow.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}{{ .repository }}@{{ .digest }}{{- else -}}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}{{- end -}}
{{- end -}}
{{- end -}}

{{/* Service accounts: the chart's own, or one that exists. */}}
{{- define "cnflow.serverAccount" -}}
{{- ternary (printf "%s-server" (include "cnflow.fullname" .)) (default "default" .Values.serviceAccount.serverName) .Values.serviceAccount.create -}}
{{- end -}}
{{- define "cnflow.hubAccount" -}}
{{- ternary (printf "%s-hub" (include "cnflow.fullname" .)) (default "default" .Values.serviceAccount.hubName) .Values.serviceAccount.create -}}
{{- end -}}
{{- define "cnflow.poolAccount" -}}
{{- ternary (printf "%s-pools" (include "cnflow.fullname" .)) "default" .Values.serviceAccount.create -}}
{{- end -}}

{{/* All pools as JSON: the values of poolDefaults, each replaced by the pool's own; sections are merged, the rest is not. */}}
{{- define "cnflow.pools" -}}
{{- $pools := dict -}}
{{- range $name, $own := .Values.pools -}}
{{- $pool := deepCopy $.Values.poolDefaults -}}
{{- range $field, $value := $own -}}
{{- if has $field (list "autoscaling" "podDisruptionBudget") -}}
{{- range $inner, $each := $value -}}{{- $_ := set (get $pool $field) $inner $each -}}{{- end -}}
{{- else -}}
{{- $_ := set $pool $field $value -}}{{/* `merge` of the templates would take false and 0 for no value. */}}
{{- end -}}
{{- end -}}
{{- $_ := set $pools $name $pool -}}
{{- end -}}
{{- toJson $pools -}}
{{- end -}}

{{/* Cores of a quantity of CPU: 500m, 2, 0.5. */}}
{{- define "cnflow.cores" -}}
{{- $text := toString . -}}
{{- if hasSuffix "m" $text -}}{{ divf (float64 (trimSuffix "m" $text)) 1000 }}{{- else -}}{{ float64 $text }}{{- end -}}
{{- end -}}

{{/* Fields of a pod that say where it may run: of a section of the values with nodeSelector, tolerations and affinity. */}}
{{- define "cnflow.placement" -}}
{{- range $field := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "priorityClassName" "runtimeClassName" }}
{{- with index $.values $field }}
{{ $field }}: {{ toJson . }}
{{- end }}
{{- end }}
{{- with $.root.Values.imagePullSecrets }}
imagePullSecrets: {{ toJson . }}
{{- end }}
{{- end -}}

{{/* Resources of a pool's container: those of the values, and its GPUs. */}}
{{- define "cnflow.poolResources" -}}
{{- $resources := deepCopy .resources -}}
{{- if int .gpus -}}
{{- $_ := set $resources "limits" (mergeOverwrite (default dict $resources.limits) (dict .gpuResource (int .gpus))) -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}
