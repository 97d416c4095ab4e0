"""Style sheet of a report."""

STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1c2128;--dim:#5b6470;--line:#d8dde3;--card:#f5f7f9;--done:#2e7d32;
--failed:#c62828;--dependency_failed:#ad1457;--cancelled:#c77800;--launched:#1565c0;--running:#1565c0;
--staging_in:#00838f;--staging_out:#00695c;--waiting:#8a929c}
@media (prefers-color-scheme:dark){:root{--bg:#14181d;--fg:#e6e9ed;--dim:#9aa4b0;--line:#313944;--card:#1c222a;
--done:#66bb6a;--failed:#ef5350;--dependency_failed:#ec6a9c;--cancelled:#ffa726;--launched:#64a9f0;--running:#64a9f0;
--staging_in:#4dd0e1;--staging_out:#26a69a;--waiting:#78818c}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.45 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1000px;margin:0 auto;padding:24px 20px 48px}
h1{font-size:26px;margin:0 0 16px;overflow-wrap:anywhere}h2{font-size:18px;margin:32px 0 10px}
.state{font-size:14px;font-weight:600;padding:3px 9px;border-radius:12px;background:var(--card);vertical-align:middle}
.state.ended{color:var(--done)}.state.crashed{color:var(--failed)}.state.running{color:var(--running)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(135px,1fr));gap:10px;margin:0 0 16px}
.cards div{background:var(--card);border-radius:8px;padding:10px 12px}
.cards dt{color:var(--dim);font-size:13px}.cards dd{margin:2px 0 0;font-size:20px;font-variant-numeric:tabular-nums}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:5px 14px 5px 0;border-bottom:1px solid var(--line);vertical-align:top;
overflow-wrap:break-word;max-width:420px}
th{color:var(--dim);font-weight:500}.num{text-align:right}.facts th,.facts td{border:0;padding:1px 14px 1px 0}
.scroll{overflow-x:auto;margin-top:12px;font-size:14px}
svg{display:block;width:100%;min-width:640px;height:auto;font-size:12px}
svg text{fill:var(--dim)}.end{text-anchor:end}.middle{text-anchor:middle}
.grid{stroke:var(--line);stroke-width:1}.submitted{fill:none;stroke:var(--fg);stroke-width:1.5;stroke-dasharray:4 3}
.s-done,.s-exec_done,.s-memo_done{fill:var(--done);background:var(--done)}
.s-failed,.s-fail_retryable{fill:var(--failed);background:var(--failed)}
.s-dependency_failed{fill:var(--dependency_failed);background:var(--dependency_failed)}
.s-cancelled{fill:var(--cancelled);background:var(--cancelled)}
.s-launched,.s-running{fill:var(--running);background:var(--running)}
.s-staging_in{fill:var(--staging_in);background:var(--staging_in)}
.s-staging_out{fill:var(--staging_out);background:var(--staging_out)}
.s-waiting{fill:var(--waiting);background:var(--waiting)}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:4px 18px;padding:0;margin:0 0 8px;font-size:14px}
.key{display:inline-block;width:11px;height:11px;border-radius:2px;margin-right:6px}
.empty{color:var(--dim)}footer{margin-top:40px;color:var(--dim);font-size:13px}
@media print{main{max-width:none}section{break-inside:avoid}}
"""
