import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { parseBodiesOptions } from './bodies/options.ts'
import { bodiesText } from './bodies/report.ts'
import { benchBodies } from './bodies/run.ts'
import { eventsChart, eventsText } from './events/report.ts'
import { benchEvents, type EventsResult } from './events/run.ts'
import { writeFigures } from './figures.ts'
import { GATEWAY_HELP, type GatewayOptions, parseGatewayOptions } from './gateway/options.ts'
import { profileRow } from './gateway/profile-run.ts'
import { reportChart, reportText } from './gateway/report.ts'
import type { GatewayResult } from './gateway/result.ts'
import { benchGateway } from './gateway/run.ts'
import { linesOf, postsChart, postsText } from './posts/report.ts'
import { benchPosts } from './posts/run.ts'
import { systemChart, systemRows, systemText } from './system/report.ts'
import { benchSystem, ROUNDS as SYSTEM_ROUNDS, type SystemResult } from './system/run.ts'

const HELP = `npm run bench [-- system|gateway|bodies|events|posts|figures]

  system    CPU of three reads and a login with 32 connections, compared with a bare program; an idle system, memory, start time and
            the delay of a live event; --rounds N (5; fewer are not kept), --check exits 1 when a goal is missed
  gateway   CPU, memory and latency of the gateway compared with other proxies; see: npm run bench -- gateway --help
  bodies    CPU and memory of a megabyte that passes through the gateway up and down, beside nginx and @fastify/http-proxy;
            --mb N (1024) in one body, --rounds N (5)
  events    events through outbox, stream and inbox, compared with the same without outbox and inbox
  posts     CPU, throughput and round trips of a post with all that follows, compared with a bare program; --check exits 1
            when a goal is missed
  figures   writes the tables of docs/figures.md and README.md from the kept results; measures nothing

Without a name system, posts, events and gateway run, one after the other. Figures depend on the machine, so compare ratios.
`

const EVENT_ROUNDS = 5
const POST_ROUNDS = 5
const RESULTS = join(import.meta.dirname, '../results')

const say = (line: string) => void process.stderr.write(`# ${line}\n`)

async function keep(name: string, content: string): Promise<void> {
  await mkdir(RESULTS, { recursive: true })
  await writeFile(join(RESULTS, name), content)
}

async function system(rounds = SYSTEM_ROUNDS): Promise<SystemResult> {
  const result = await benchSystem(rounds, say)
  process.stdout.write(systemText(result))
  if (rounds < SYSTEM_ROUNDS) say('few rounds: not kept')
  else {
    await keep('system.json', `${JSON.stringify(result, null, 2)}\n`)
    await keep('system.svg', systemChart(result))
  }
  return result
}

/** Everything that README.md and docs/figures.md show. */
async function all(): Promise<void> {
  await system()
  await posts(false)
  await events()
  await gateway(parse([]))
}

async function gateway(options: GatewayOptions): Promise<GatewayResult> {
  const result = await benchGateway(options, say)
  process.stdout.write(reportText(result))
  if (options.only === undefined) {
    await keep('gateway.json', `${JSON.stringify(result, null, 2)}\n`)
    await keep('gateway.svg', reportChart(result))
  } else say('some rows only: not kept')
  return result
}

async function events(): Promise<EventsResult> {
  const result = await benchEvents(EVENT_ROUNDS, say)
  process.stdout.write(eventsText(result))
  await keep('events.json', `${JSON.stringify(result, null, 2)}\n`)
  await keep('events.svg', eventsChart(result))
  return result
}

async function posts(check: boolean): Promise<void> {
  const result = await benchPosts(POST_ROUNDS, say)
  process.stdout.write(postsText(result))
  await keep('posts.json', `${JSON.stringify(result, null, 2)}\n`)
  await keep('posts.svg', postsChart(result))
  if (check && linesOf(result).some(({ met }) => !met)) process.exitCode = 1
}

async function bodies(args: string[]): Promise<void> {
  const result = await benchBodies(parseBodiesOptions(args), say)
  process.stdout.write(bodiesText(result))
  await keep('bodies.json', `${JSON.stringify(result, null, 2)}\n`)
}

function parse(args: string[]): GatewayOptions {
  try {
    const options = parseGatewayOptions(args)
    if (options !== 'help') return options
    process.stdout.write(GATEWAY_HELP)
    process.exit(0)
  } catch (error) {
    process.stderr.write(`${(error as Error).message} See: npm run bench -- gateway --help\n`)
    process.exit(1)
  }
}

/** Whatever was started ends with this process. */
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

const [name, ...args] = process.argv.slice(2)
if (name === undefined) await all()
else if ([name, ...args].includes('--help') && name !== 'gateway') process.stdout.write(HELP)
else if (name === 'system') {
  const { values } = parseArgs({ args, options: { rounds: { type: 'string' }, check: { type: 'boolean' } } })
  const rows = systemRows(await system(values.rounds === undefined ? undefined : Number(values.rounds)))
  if (values.check && rows.some(({ met }) => met === false)) process.exitCode = 1
} else if (name === 'bodies') await bodies(args)
else if (name === 'events' && args.length === 0) await events()
else if (name === 'posts' && (args.length === 0 || (args.length === 1 && args[0] === '--check')))
  await posts(args.length === 1)
else if (name === 'figures' && args.length === 0) {
  const changed = await writeFigures()
  process.stdout.write(changed.length === 0 ? 'The figures are up to date.\n' : `Written: ${changed.join(', ')}\n`)
} else if (name === 'gateway') {
  const options = parse(args)
  if (options.profile === undefined) await gateway(options)
  else await profileRow(options.profile, options.requests, say)
} else {
  process.stderr.write(HELP)
  process.exitCode = 1
}
