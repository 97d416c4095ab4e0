{{/* Settings of `cnflow serve` as JSON: a ServeConfig of cnflow.config.serving. */}}

{{- define "cnflow.serveAccount" -}}
{{- ternary (printf "%s-serve" (include "cnflow.fullname" .)) (default "default" .Values.serviceAccount.serveName) .Values.serviceAccount.create -}}
{{- end -}}

{{- define "cnflow.serveConfig" -}}
{{- $serve := .Values.serve -}}
{{- $pools := include "cnflow.pools" . | fromJson -}}
{{- if not $serve.models -}}
{{- fail "\n\nserve.enabled is set, and there is no model. Set serve.models.NAME.module, and .pool to the pool that runs it." -}}
{{- end -}}
{{- if not (or $serve.apiKeysSecret $serve.allowAnyone) -}}
{{- fail "\n\nWho may call the models? Set serve.apiKeysSecret to a Secret whose entry `keys` has a name and a key in each line, or serve.allowAnyone=true." -}}
{{- end -}}
{{- $scaling := $serve.autoscaling -}}
{{- if $scaling.enabled -}}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) -}}
{{- fail (printf "\n\nserve.autoscaling has minReplicas %d, which is above its maxReplicas %d. Swap or raise one." (int $scaling.minReplicas) (int $scaling.maxReplicas)) -}}
{{- end -}}
{{- if not (or $scaling.targetCPU $scaling.targetCalls $scaling.metrics) -}}
{{- fail "\n\nserve.autoscaling has no target. Set targetCPU, targetCalls or metrics." -}}
{{- end -}}
{{- if and $scaling.targetCPU (not (dig "requests" "cpu" "" $serve.resources)) -}}
{{- fail "\n\nserve.autoscaling.targetCPU is a percentage of the requested CPU, and serve.resources requests none. Set serve.resources.requests.cpu, or targetCPU=0." -}}
{{- end -}}
{{- end -}}
{{- $models := list -}}
{{- $used := dict -}}
{{- range $name, $model := $serve.models -}}
{{- $model = deepCopy $model -}}
{{- $versions := default (list (omit $model "versions" "options")) $model.versions -}}
{{- $made := list -}}
{{- range $version := $versions -}}
{{- $only := ternary (first (keys $pools)) "" (eq 1 (len $pools)) -}}
{{- $pool := default $only (default $model.pool $version.pool) -}}
{{- if not (hasKey $pools $pool) -}}
{{- fail (printf "\n\nserve.models.%s runs in the pool '%s', which is none of the release: %s." $name $pool (join ", " (keys $pools | sortAlpha))) -}}
{{- end -}}
{{- $_ := set $used $pool true -}}
{{- $made = append $made (merge (omit $version "pool") (dict "executor" $pool)) -}}
{{- end -}}
{{- $models = append $models (merge (dict "name" $name "versions" $made) (default dict $model.options)) -}}
{{- end -}}
{{- $executors := list -}}
{{- range $pool := keys $used | sortAlpha -}}
{{- $executors = append $executors (dict "kind" "high_throughput" "label" $pool "provider" (dict
  "kind" "existing_pool"
  "address" (printf "kubernetes://%s/%s" $.Release.Namespace (include "cnflow.fullname" $))
  "pool" $pool
  "key" "/etc/cnflow/client/key.json")) -}}
{{- end -}}
{{- $http := dict
  "listen" "0.0.0.0"
  "port" (int $serve.port)
  "allow_anyone" $serve.allowAnyone
  "open_metrics" $serve.openMetrics
  "drain_delay" $serve.drainDelay
  "drain_timeout" $serve.drainPeriod -}}
{{- if $serve.apiKeysSecret -}}{{- $_ := set $http "key_file" "/etc/cnflow/api-keys/keys" -}}{{- end -}}
{{- if $serve.tlsSecret -}}
{{- $_ := set $http "tls_cert" "/etc/cnflow/tls/tls.crt" -}}
{{- $_ := set $http "tls_key" "/etc/cnflow/tls/tls.key" -}}
{{- end -}}
{{- range $name, $value := $serve.http -}}{{- $_ := set $http $name $value -}}{{- end -}}{{/* `merge` takes false for no value. */}}
{{- $all := dict "models" $models "executors" $executors "fronts" (int $serve.fronts) "http" $http -}}
{{- range $name, $value := $serve.config -}}{{- $_ := set $all $name $value -}}{{- end -}}
{{- toJson $all -}}
{{- end -}}
