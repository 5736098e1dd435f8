"""The page as a jinja2 template; filled by report.page."""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Reformer against dense: {{ name }}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; color: #222; }
body { max-width: 64rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 3rem; border-top: 1px solid #ccc; padding-top: 1rem; }
img { max-width: 100%; height: auto; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.85rem; white-space: nowrap; margin: 1rem 0; }
th, td { padding: 0.25rem 0.6rem; border-bottom: 1px solid #ddd; text-align: right; }
th:first-child, td:first-child, td:last-child { text-align: left; }
.quiet { color: #666; } nav a { margin-right: 1rem; }
</style>
</head>
<body>
{% macro show(table) %}
<div class="wide"><table>
<thead><tr>{% for name in table.columns %}<th>{{ name }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in table.to_numpy() %}
<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</tbody></table></div>
{% endmacro %}
<h1>Reformer against dense: run {{ name }}</h1>
<p>{{ machine }}</p>
<p class="quiet">{{ n_cases }} cases, {{ n_records }} records. All rows:
<a href="table.csv">table.csv</a>,
<a href="table.md">table.md</a>, <a href="table.tex">table.tex</a>. Raw samples:
<a href="records.jsonl">records.jsonl</a>.</p>
<nav>{% for part in sections %}<a href="#{{ part.name }}">{{ part.name }}</a>{% endfor %}
<a href="#failures">failures</a><a href="#caveats">caveats</a></nav>
{% for part in sections %}
<h2 id="{{ part.name }}">{{ part.name }}</h2>
{% if part.question %}<p><em>{{ part.question }}</em></p>{% endif %}
<ul>{% for sentence in part.findings %}<li>{{ sentence }}.</li>{% endfor %}</ul>
{% for figure in part.figures %}
<p><a href="{{ figures }}/{{ figure }}.svg">
<img src="{{ figures }}/{{ figure }}.png" alt="{{ figure }}"></a></p>
{% endfor %}
{% for key in ["scaling", "rounds"] %}
{% if part[key] is not none %}
<h3>{{ table_titles[key] }}</h3>
{{ show(part[key]) }}
{% endif %}
{% endfor %}
<h3>all cases</h3>
<p class="quiet">+- is half the 95 % interval: of the median time over processes,
of bits per dim over seeds.</p>
{{ show(part.table) }}
{% endfor %}
<h2 id="failures">Failures</h2>
{% if failed %}
<div class="wide"><table><thead><tr><th>case</th><th>status</th><th>reason</th></tr></thead><tbody>
{% for label, status, reason in failed %}
<tr><td>{{ label }}</td><td>{{ status }}</td><td>{{ reason }}</td></tr>
{% endfor %}
</tbody></table></div>
{% else %}<p>None: every case was measured.</p>{% endif %}
<h2 id="caveats">Caveats</h2>
<ul>{% for sentence in caveats %}<li>{{ sentence }}</li>{% endfor %}</ul>
<p class="quiet">reformer-bench {{ version }}</p>
</body>
</html>
"""
