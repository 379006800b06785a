import { hash } from 'node:crypto'
import type { DescribedEvent } from '@skerry/contracts/asyncapi'
import { membersOf } from './schema-members.ts'

const STYLE = `
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --link: #0b62a8 }
@media (prefers-color-scheme: dark) { :root { --link: #6cb6f0 } }
* { box-sizing: border-box }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; display: grid; grid-template-columns: 20rem minmax(0, 1fr) }
nav { position: sticky; top: 0; height: 100vh; overflow: auto; padding: 1.5rem; border-right: 1px solid var(--line); font-size: .9rem }
nav h2 { font-size: .8rem; text-transform: uppercase; letter-spacing: .05em; margin: 1.2rem 0 .3rem; opacity: .7 }
nav a { display: block; text-decoration: none; padding: .1rem 0; overflow-wrap: anywhere }
main { padding: 1.5rem 2.5rem 6rem; max-width: 60rem }
a { color: var(--link) }
h1 { margin-top: 0 }
section { border-top: 1px solid var(--line); margin-top: 2rem; padding-top: 1rem }
h2 code { font-size: 1.15rem }
code, pre { font-family: ui-monospace, monospace; font-size: .875rem }
pre { background: var(--soft); padding: 1rem; overflow: auto; border-radius: 6px }
.table { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-size: .9rem }
th, td { text-align: left; vertical-align: top; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--line) }
@media (max-width: 50rem) { body { display: block } nav { position: static; height: auto; border: 0 } main { padding: 1.5rem } }
`

/** `Content-Security-Policy` of the page: its own style, and nothing else at all. */
export function policyOfEventsPage(): string {
  const style = `'sha256-${hash('sha256', STYLE, 'base64')}'`
  return `default-src 'none'; style-src ${style}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`
}

/** All events as one page without a script: what each says, member by member, an example, and where its schema is. */
export function eventsPage(info: { title: string; description: string }, events: readonly DescribedEvent[]): string {
  const sorted = [...events].sort((a, b) => (a.subject < b.subject ? -1 : 1))
  const owners = Map.groupBy(sorted, ({ owner }) => owner)
  const links = [...owners].map(
    ([owner, list]) =>
      `<h2>${text(owner)}</h2>\n${list.map(({ subject }) => `<a href="#${text(subject)}">${text(subject)}</a>`).join('\n')}`
  )
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${text(info.title)}</title>
<style>${STYLE}</style>
</head>
<body>
<nav aria-label="Events">
<a href="/docs">Routes</a>
<a href="/asyncapi.json">AsyncAPI 3 document</a>
${links.join('\n')}
</nav>
<main>
<h1>${text(info.title)}</h1>
<p>${text(info.description)}</p>
<p>Each event is a message on the JetStream stream of its service. Its subject is the name below with the partition behind it: subscribe to the name
with <code>.*</code>. Its id, time, entity and order key are in the headers <code>ce-id</code>,
<code>ce-time</code>, <code>ce-subject</code> and <code>ce-partitionkey</code>; its data is the JSON below.</p>
${sorted.length === 0 ? '<p>No live service publishes events.</p>' : sorted.map(section).join('\n')}
</main>
</body>
</html>
`
}

function section({ subject, owner, summary, description, payload, examples }: DescribedEvent): string {
  const rows = membersOf(payload).map(
    ({ path, type, required, description: about }) =>
      `<tr><td><code>${text(path)}</code></td><td>${text(type)}</td><td>${required ? 'required' : 'optional'}</td><td>${text(about)}</td></tr>`
  )
  const example = examples[0] === undefined ? '' : `<pre>${text(JSON.stringify(examples[0], null, 2))}</pre>`
  return `<section id="${text(subject)}">
<h2><code>${text(subject)}</code></h2>
<p>${text(description ?? summary)}</p>
<p>Stream <code>${text(owner)}</code>. <a href="/schemas/events/${text(subject)}.json">JSON Schema</a></p>
<div class="table"><table>
<thead><tr><th>member</th><th>type</th><th>presence</th><th>description</th></tr></thead>
<tbody>
${rows.join('\n')}
</tbody>
</table></div>
${example}
</section>`
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;'
}

/** As it may stand in HTML, in text and in quoted attributes: documents come from services, which may be anybody's. */
function text(value: string): string {
  return value.replaceAll(/[&<>"']/g, (char) => ENTITIES[char]!)
}
