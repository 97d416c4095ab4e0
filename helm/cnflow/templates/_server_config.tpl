{{/* Settings of `cnflow pool serve` as JSON: a PoolServer of cnflow.config.worker_pool. */}}

{{- define "cnflow.serverConfig" -}}
{{- $full := include "cnflow.fullname" . -}}
{{- $pools := list -}}
{{- $ports := dict -}}
{{- range $name, $pool := include "cnflow.pools" . | fromJson -}}
{{- $port := include "cnflow.port" (dict "name" $name "pool" $pool) -}}
{{- if hasKey $ports $port -}}
{{- fail (printf "\n\nThe pools '%s' and '%s' have the same port %s. Set pools.%s.port to an even number of your own, such as %d." (get $ports $port) $name $port $name (add (int $port) 2)) -}}
{{- end -}}
{{- $_ := set $ports $port $name -}}
{{- $pools = append $pools (include "cnflow.poolConfig" (dict "root" $ "name" $name "pool" $pool "port" (int $port)) | fromJson) -}}
{{- end -}}
{{- dict
  "pools" $pools
  "listen" "0.0.0.0"
  "http_listen" "0.0.0.0"
  "http_port" (int .Values.server.httpPort)
  "client_timeout" .Values.server.clientTimeout
  "max_idletime" .Values.server.idleTime
  "release" (dict
    "name" $full
    "namespace" .Release.Namespace
    "keys_secret" (printf "%s-keys" $full)
    "clients_config_map" (printf "%s-clients" $full)
    "pools_config_map" (printf "%s-pools" $full))
  | toJson -}}
{{- end -}}

{{/* One pool: a WorkerPool; takes root, name, pool, port. */}}
{{- define "cnflow.poolConfig" -}}
{{- $name := printf "%s-%s" (include "cnflow.fullname" .root) .name -}}
{{- $limits := default dict .pool.resources.limits -}}
{{- $requests := default dict .pool.resources.requests -}}
{{- $cores := include "cnflow.cores" (default (default 1 $requests.cpu) $limits.cpu) | float64 -}}
{{- $scaling := .pool.autoscaling -}}
{{- $fixed := not $scaling.enabled -}}
{{- $least := int (ternary .pool.replicas $scaling.minReplicas $fixed) -}}
{{- dict
  "name" .name
  "image" .pool.image
  "address" (printf "%s.%s.svc" $name .root.Release.Namespace)
  "managers_port" .port
  "clients_port" (int (add1 .port))
  "deployment" (dict
    "name" $name
    "secret" $name
    "scales" (not $fixed)
    "cores" $cores
    "init_replicas" $least
    "min_replicas" $least
    "max_replicas" (int (ternary .pool.replicas $scaling.maxReplicas $fixed))
    "warm_replicas" (int (ternary 0 $scaling.warmReplicas $fixed))
    "parallelism" $scaling.parallelism)
  "max_workers" .pool.workers
  "cores_per_worker" .pool.coresPerWorker
  "mem_per_worker" .pool.memPerWorker
  "available_accelerators" (int .pool.gpus)
  "max_idletime" $scaling.idleTime
  "prefetch" .pool.prefetch
  "grace_period" (max 0 (sub (int .pool.drainPeriod) 10))
  "heartbeat_period" .root.Values.server.heartbeatPeriod
  "heartbeat_threshold" .root.Values.server.heartbeatThreshold
  | toJson -}}
{{- end -}}

{{/* Port for managers, from the pool's name unless it is given: other pools that come and go do not change it. */}}
{{- define "cnflow.port" -}}
{{- if .pool.port -}}{{ int .pool.port }}{{- else -}}{{ add 20000 (mul 2 (mod (adler32sum .name | int64) 5000)) }}{{- end -}}
{{- end -}}
