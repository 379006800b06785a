import { readdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { faultRun } from '@skerry/testing'
import t from 'tap'

// The back end that is JavaScript alone: it needs no Java and no binary.
process.env.RECHECK_BACKEND = 'pure'
const { check } = await import('recheck')

const REPOSITORY = resolve(import.meta.dirname, '../../..')
/** Where bytes from outside meet patterns. */
const SOURCES = [
  ...['auth', 'conduit', 'content', 'gateway', 'realtime', 'users'].map((app) => `apps/${app}/src`),
  ...['contracts', 'events', 'service', 'store', 'text'].map((name) => `packages/${name}/src`)
]
/** A literal where an expression may begin, and `pattern: '…'` of a schema. */
const LITERAL =
  /(?:^|[=(,:;[{!&|?+]|\breturn|=>)\s*\/((?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n])*)\/([dgimsuvy]*)/gm
const SCHEMA = /\bpattern:\s*'((?:\\.|[^'\\\n])*)'/g

/** Patterns that backtrack, and why that is no matter. */
const HARMLESS = new Map([
  [
    '<script(?![^>]*\\ssrc=)[^>]*>([\\s\\S]*?)<\\/script>',
    'reads a page that a package ships, once: nothing from outside is in it'
  ]
])

/**
 * Patterns that take seconds to judge and were found safe, as `source/flags`. A verdict depends on the pattern, LIMITS and the release of recheck
 * alone: the short version judges them only after a new release, `npm run test:faults -- patterns` judges all of them again.
 */
const JUDGED_BY = '4.5.0'
const JUDGED = new Set([
  String.raw`^(?:0{0,4}:){2,6}ffff:(?:(\d+\.\d+\.\d+\.\d+)|([\da-f]{1,4}):([\da-f]{1,4}))$/i`,
  String.raw`\r\norigin:[ \t]*([^\s]{1,512})\r\n/i`,
  '^(?:x-forwarded-.*|x-skerry-.*|forwarded|via|x-real-ip|x-client-ip|x-user-id|x-request-id|traceparent|tracestate)$/',
  '^(?:content-(?:encoding|type|range|length)|host|authorization|cookie|set-cookie|age|cache-control|expires|date|location|retry-after|vary|warning|pragma|max-forwards|range|if-.*|accept.*|www-authenticate|origin|referer|idempotency-key|strict-transport-security|content-security-policy.*)$/',
  String.raw`(?:^|[,\s])max\s*=\s*"?0+(?!\d)/i`,
  String.raw`^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/`,
  String.raw`^(?:text\/(?!event-stream\b)[\w.+-]+|(?:application|image|model|message)\/[\w.-]+\+(?:json|xml|text|yaml)|application\/(?:json|xml|javascript|x-javascript|ecmascript|graphql|toml|yaml|sql|wasm|x-www-form-urlencoded|vnd\.ms-fontobject)|font\/(?:ttf|otf|collection)|image\/(?:bmp|vnd\.microsoft\.icon|x-icon))\s*(?:;|$)/i`,
  String.raw`(?:^|[,\s])timeout\s*=\s*"?(\d{1,7})/i`
])

/** What repeats without a bound: a pattern that is held at the beginning and has one of them is looked at once. */
const REPEATS = /[*+]|\{\d+,\}/g

function canBacktrack(source: string): boolean {
  const repeats = source.replaceAll(/\\.|\[(?:\\.|[^\]\\])*\]/g, 'x').match(REPEATS)?.length ?? 0
  return repeats > (source.startsWith('^') ? 1 : 0)
}

/** By steps and a seed: what is bounded, or judged, by the clock differs on a busy machine. */
const LIMITS = {
  ...{ timeout: null, attackTimeout: null, incubationTimeout: null, seedingTimeout: null },
  // Below zero: an attack that was found is not tried against the clock.
  recallTimeout: -1
}

type Found = { source: string; flags: string; where: string }

const { version } = JSON.parse(
  await readFile(join(import.meta.dirname, '../node_modules/recheck/package.json'), 'utf8')
) as { version: string }
const run = faultRun({ short: 1, long: 1 })
t.setTimeout(run.limitMs)
const isJudged = (name: string) => !run.long && version === JUDGED_BY && JUDGED.has(name)

async function patternsIn(folder: string): Promise<Found[]> {
  const found: Found[] = []
  for (const path of await readdir(join(REPOSITORY, folder), { recursive: true })) {
    if (!path.endsWith('.ts')) continue
    const text = (await readFile(join(REPOSITORY, folder, path), 'utf8')).replaceAll(/^\s*(?:\/\/|\/?\*).*$/gm, '')
    const where = join(folder, path)
    for (const [, source, flags] of text.matchAll(LITERAL)) found.push({ source: source!, flags: flags!, where })
    for (const [, source] of text.matchAll(SCHEMA))
      found.push({ source: JSON.parse(`"${source!.replaceAll('"', '\\"')}"`), flags: 'u', where })
  }
  return found
}

t.test('no pattern that meets what comes from outside backtracks for longer than its input', async (t) => {
  const all = (await Promise.all(SOURCES.map((folder) => patternsIn(folder).catch(() => [])))).flat()
  const known = new Map(all.map((one) => [`${one.source}/${one.flags}`, one]))
  t.ok(known.size > 100, `${known.size} patterns`)
  for (const name of JUDGED) t.ok(known.has(name), `still there: /${name}`)
  for (const [name, { source, flags, where }] of known) {
    t.doesNotThrow(() => new RegExp(source, flags), `${where}: /${source}/${flags} is a pattern`)
    if (HARMLESS.has(source) || !canBacktrack(source) || isJudged(name)) continue
    const { status, ...more } = await check(source, flags.replace(/[dv]/g, ''), LIMITS)
    t.equal(
      status,
      'safe',
      `${where}: /${source}/${flags} ${JSON.stringify((more as { complexity?: object }).complexity)}`
    )
  }
})

/** Files that put patterns together of parts, and how many; those of contracts look at schemas of releases, not at what comes from outside. */
const PUT_TOGETHER = { 'packages/contracts/src/compat/refusals.ts': 1, 'packages/text/src/characters.ts': 2 }

/** The patterns that a module puts together when it is loaded. */
async function madeBy(file: string): Promise<Found[]> {
  const found: Found[] = []
  const { RegExp: real } = globalThis
  globalThis.RegExp = new Proxy(real, {
    construct(target, given: [string, string]) {
      found.push({ source: given[0], flags: given[1], where: file })
      return new target(...given)
    }
  })
  try {
    await import(`${join(REPOSITORY, file)}?fresh`)
  } finally {
    globalThis.RegExp = real
  }
  return found
}

t.test('nor does one that is put together of parts', async (t) => {
  const counts: Record<string, number> = {}
  for (const folder of SOURCES)
    for (const path of await readdir(join(REPOSITORY, folder), { recursive: true })) {
      const where = join(folder, path)
      if (!path.endsWith('.ts')) continue
      const made = (await readFile(join(REPOSITORY, where), 'utf8')).match(/\bnew RegExp\(/g)?.length ?? 0
      if (made > 0) counts[where] = made
    }
  t.same(counts, PUT_TOGETHER, 'each is judged below, or does not meet what comes from outside')
  const made = await madeBy('packages/text/src/characters.ts')
  t.equal(made.length, 2)
  for (const { source, flags, where } of made)
    t.equal((await check(source, flags, LIMITS)).status, 'safe', `${where}: ${source.slice(0, 40)}`)
})
