"""The style sheet of a report: light, dark, on a phone and on paper."""

STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1d2329;--soft:#5b6670;--line:#d9dee3;
--faint:#f4f6f8;--bar:#2a78b8;--track:#e6eaee;--s0:#0072b2;--s1:#d55e00;--s2:#00855f;--s3:#b0518a;
--s4:#a87600;--s5:#3f8fc4;--s6:#6b6b6b;--s7:#7b4fc9}
@media screen and (prefers-color-scheme:dark){:root{--paper:#14181c;--ink:#e4e8ec;--soft:#9ba6b0;
--line:#333b43;--faint:#1c2227;--bar:#62b2ec;--track:#2a3138;--s0:#62b2ec;--s1:#ff9358;--s2:#45cfa2;
--s3:#eba2cf;--s4:#e8bb50;--s5:#a5d8ff;--s6:#aeb4ba;--s7:#b99bff}}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif;
max-width:60rem;margin:0 auto;padding:1.5rem 1rem 3rem;color:var(--ink);background:var(--paper);
-webkit-text-size-adjust:100%}
h1{font-size:1.7rem;line-height:1.2;margin:.5rem 0 1rem;text-wrap:balance}
h2{font-size:1.25rem;line-height:1.3;margin:2.5rem 0 .75rem;padding-top:1rem;
border-top:1px solid var(--line)}
p{margin:.75rem 0;max-width:44rem}
a{color:var(--s0)}
nav{font-size:.9rem;columns:2 18rem;margin:1rem 0 0}
nav a{display:block;padding:.15rem 0;text-decoration:none;break-inside:avoid}
nav a:hover{text-decoration:underline}
figure{margin:2rem 0}
figcaption{font-weight:600;margin:0 0 .6rem;line-height:1.35}
.scroll{overflow-x:auto;-webkit-overflow-scrolling:touch}
table{border-collapse:collapse;min-width:50%;font-size:.925rem;font-variant-numeric:tabular-nums;
border-bottom:1.5px solid var(--ink)}
thead th{border-top:1.5px solid var(--ink);border-bottom:1px solid var(--ink);font-weight:600;
vertical-align:bottom}
th,td{padding:.38rem .8rem;text-align:left;vertical-align:top;font-weight:400}
th:first-child,td:first-child{padding-left:.3rem}
tbody tr+tr>*{border-top:1px solid var(--line)}
tbody th{min-width:7rem}
.num{text-align:right;white-space:nowrap}
thead .num{white-space:normal}
.range{color:var(--soft);font-size:.85em;margin-left:.35em}
.none{color:var(--soft);font-style:italic;white-space:nowrap}
.bar{display:block;position:relative;height:6px;min-width:6.5rem;margin:.3rem 0 .1rem;
border-radius:3px;background:var(--track)}
.bar i{position:absolute;top:0;bottom:0;min-width:2px;border-radius:3px;background:var(--bar);
opacity:.75}
.bar b{position:absolute;top:-2px;bottom:-2px;width:2px;margin-left:-1px;background:var(--ink)}
.bar s{position:absolute;top:-1px;bottom:-1px;width:1px;background:var(--soft)}
sup{line-height:0;margin-left:.1em}
.note{color:var(--soft);font-size:.875rem;margin:.5rem 0 0}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;font-size:.875rem;margin:.25rem 0 .5rem}
.legend span{display:flex;align-items:center;gap:.45rem}
.key{width:28px;height:12px;flex:none}
svg{display:block;width:100%;height:auto;font:12px system-ui,-apple-system,"Segoe UI",Roboto,
"Liberation Sans",sans-serif;font-variant-numeric:tabular-nums}
svg text{fill:var(--soft)}
.mid{text-anchor:middle}.end{text-anchor:end}
.grid{stroke:var(--line);fill:none}.axis{stroke:var(--soft);fill:none}
.line{stroke:var(--c);stroke-width:2;fill:none;stroke-linejoin:round}
.dashed{stroke-dasharray:6 4}.band{fill:var(--c);opacity:.16}
.mark{fill:var(--c);stroke:var(--paper);stroke-width:1}
.s0{--c:var(--s0)}.s1{--c:var(--s1)}.s2{--c:var(--s2)}.s3{--c:var(--s3)}
.s4{--c:var(--s4)}.s5{--c:var(--s5)}.s6{--c:var(--s6)}.s7{--c:var(--s7)}
.narrow{display:none}
img{display:block;max-width:100%;height:auto;border-radius:4px}
.facts{font-size:.85rem;display:grid;grid-template-columns:minmax(8rem,max-content) 1fr;
gap:.2rem 1.2rem;margin:0}
.facts dt{color:var(--soft);overflow-wrap:anywhere}
.facts dd{margin:0;overflow-wrap:anywhere}
footer{color:var(--soft);font-size:.8rem;margin-top:2.5rem;border-top:1px solid var(--line);
padding-top:.75rem}
.broad .range{display:block;margin:0}
@media screen and (min-width:62rem){.broad{width:min(94vw,76rem);margin-left:50%;
transform:translateX(-50%)}.broad table{min-width:0}.broad th,.broad td{padding:.35rem .55rem}}
@media screen and (max-width:34rem){body{padding:1rem .8rem 2rem}h1{font-size:1.4rem}
.wide{display:none}.narrow{display:block}th,td{padding:.35rem .5rem}
.scroll img{max-width:none;width:max(100%,40rem)}
tbody th{position:sticky;left:0;background:var(--paper);max-width:9rem;min-width:5rem}
.range{display:block;margin:0}
.facts{grid-template-columns:1fr}.facts dd{margin-bottom:.4rem}}
@media print{@page{margin:16mm}body{font-size:10.5pt;max-width:none;padding:0}nav{display:none}
.scroll{overflow:visible}table{font-size:8.5pt}
th,td{padding:.25rem .4rem}.range{display:block;margin:0}.bar{min-width:4rem}
.broad table{font-size:6.5pt}.broad th,.broad td{padding:.2rem}.broad .bar{min-width:2rem}
table,figure svg,img{break-inside:avoid}tr{break-inside:avoid}
h2,figcaption{break-after:avoid}.bar,.bar i,.bar b,.bar s{print-color-adjust:exact;
-webkit-print-color-adjust:exact}a{color:inherit;text-decoration:none}img{max-height:230mm}}
"""
