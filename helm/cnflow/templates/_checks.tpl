{{/* Refuses what no schema can: misspelt names, with the nearest one, and values that do not fit each other. */}}

{{- define "cnflow.checks" -}}
{{- $known := .Files.Get "files/names.json" | fromJson -}}
{{- $values := omit .Values "global" -}}
{{- $own := dict "drain_delay" "drainDelay" "drain_timeout" "drainPeriod" "key_file" "apiKeysSecret" "api_keys" "apiKeysSecret" "allow_anyone" "allowAnyone" "open_metrics" "openMetrics" "tls_cert" "tlsSecret" "tls_key" "tlsSecret" -}}
{{- range $name, $value := .Values.serve.http -}}
{{- if hasKey $own $name -}}
{{- fail (printf "\n\nserve.http.%s is for servers outside a cluster. Set serve.%s in its place, which the pods follow as well." $name (get $own $name)) -}}
{{- end -}}
{{- end -}}
{{- range $section, $names := $known -}}
{{- if eq $section "pools.*" -}}
{{- range $pool, $value := $.Values.pools -}}
{{- include "cnflow.checkNames" (dict "path" (printf "pools.%s" $pool) "value" $value "names" $names) -}}
{{- end -}}
{{- else if hasPrefix "pools.*." $section -}}
{{- $field := trimPrefix "pools.*." $section -}}
{{- range $pool, $value := $.Values.pools -}}
{{- include "cnflow.checkNames" (dict "path" (printf "pools.%s.%s" $pool $field) "value" (get (default dict $value) $field) "names" $names) -}}
{{- end -}}
{{- else if hasPrefix "serve.models.*" $section -}}
{{- range $model, $value := $.Values.serve.models -}}
{{- $path := printf "serve.models.%s" $model -}}
{{- if hasSuffix ".options" $section -}}
{{- include "cnflow.checkNames" (dict "path" (printf "%s.options" $path) "value" $value.options "names" $names) -}}
{{- else if hasSuffix ".versions.*" $section -}}
{{- range $number, $version := $value.versions -}}
{{- include "cnflow.checkNames" (dict "path" (printf "%s.versions[%d]" $path $number) "value" $version "names" $names) -}}
{{- end -}}
{{- else -}}
{{- include "cnflow.checkNames" (dict "path" $path "value" $value "names" $names) -}}
{{- end -}}
{{- end -}}
{{- else -}}
{{- $value := $values -}}
{{- range $step := without (splitList "." $section) "" -}}{{- $value = get $value $step -}}{{- end -}}
{{- include "cnflow.checkNames" (dict "path" $section "value" $value "names" $names) -}}
{{- end -}}
{{- end -}}
{{- if not .Values.pools -}}
{{- fail "\n\nThe release has no pool. Set pools.NAME.image to the image that its tasks run in, such as --set pools.main.image=python:3.11-slim." -}}
{{- end -}}
{{- range $name, $pool := include "cnflow.pools" . | fromJson -}}
{{- if not $pool.image -}}
{{- fail (printf "\n\nThe pool '%s' has no image. Set pools.%s.image to the image that its tasks run in." $name $name) -}}
{{- end -}}
{{- with $pool.autoscaling -}}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) -}}
{{- fail (printf "\n\nThe pool '%s' has autoscaling.minReplicas %d, which is above its maxReplicas %d. Swap or raise one." $name (int .minReplicas) (int .maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Fails where a mapping has a name that is not among those known; takes path, value, names. */}}
{{- define "cnflow.checkNames" -}}
{{- if kindIs "map" .value -}}
{{- range $name := keys .value | sortAlpha -}}
{{- if not (has $name $.names) -}}
{{- $where := ternary "The chart" $.path (empty $.path) -}}
{{- $nearest := include "cnflow.nearest" (dict "word" $name "names" $.names) -}}
{{- fail (printf "\n\n%s has no value '%s'.%s Known: %s." $where $name (ternary (printf " Did you mean '%s'?" $nearest) "" (not (empty $nearest))) (join ", " (sortAlpha $.names))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The known name that is fewest edits away, if a third of the letters or more agree; takes word, names. */}}
{{- define "cnflow.nearest" -}}
{{- $best := "" -}}
{{- $fewest := 1000 -}}
{{- range $name := .names -}}
{{- $edits := include "cnflow.distance" (dict "a" (lower $.word) "b" (lower $name)) | int -}}
{{- if and (lt $edits $fewest) (le (mul 3 $edits) (mul 2 (max (len $name) (len $.word)))) -}}
{{- $best = $name -}}
{{- $fewest = $edits -}}
{{- end -}}
{{- end -}}
{{- $best -}}
{{- end -}}

{{/* Number of letters to insert, remove or replace between two words (Levenshtein), row by row; takes a, b. */}}
{{- define "cnflow.distance" -}}
{{- $b := splitList "" .b -}}
{{- $row := untilStep 0 (int (add1 (len $b))) 1 -}}
{{- range $i, $x := splitList "" .a -}}
{{- $next := list (int (add1 $i)) -}}
{{- range $j, $y := $b -}}
{{- $replaced := add (index $row $j) (ternary 0 1 (eq $x $y)) -}}
{{- $next = append $next (int (min $replaced (add1 (index $next $j)) (add1 (index $row (int (add1 $j)))))) -}}
{{- end -}}
{{- $row = $next -}}
{{- end -}}
{{- last $row -}}
{{- end -}}
