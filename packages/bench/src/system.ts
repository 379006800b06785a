import { startSystem } from '@skerry/testing'
import { liveLatency } from './live-latency.ts'
import { type Load, load, median } from './load.ts'
import { makePeople, PASSWORD, type Person } from './people.ts'

export type Row = { what: string; value: string; p50?: string; p99?: string; goal?: string }

const PEOPLE = 30
const SECONDS = 5
const ROUNDS = 3
const CONNECTIONS = 32

const ms = (value: number) => `${value.toFixed(value < 10 ? 1 : 0)} ms`

/** Starts a system of its own and measures it: start, memory, four routes through the gateway, and the way of an event to a follower. */
export async function systemRows(say: (line: string) => void): Promise<Row[]> {
  const ends: (() => Promise<void>)[] = []
  const t = { teardown: (work: () => Promise<void>) => ends.push(work) }
  // Limits hold and are counted; they are only wide enough for a load from few people.
  const env = {
    LIMIT_USER_PER_SECOND: '1000000',
    LIMIT_USER_BURST: '1000000',
    LIMIT_EXEMPT: '127.0.0.0/8',
    LOG_LEVEL: 'warn'
  }
  try {
    say('starting a system of its own …')
    const first = await startSystem(t, { env, sheds: true })
    await first.stop()
    const system = await startSystem(t, { env, home: first.home, sheds: true })
    const [, seconds, megabytes] = /Ready in ([\d.]+) s, (\d+) MB/.exec(system.output()) ?? []
    say(`${PEOPLE} people write posts …`)
    const people = await makePeople(system.url, PEOPLE, 10)
    const rows: Row[] = [
      { what: 'npm start, installed sources, to all ready', value: `${seconds} s`, goal: '≤ 5 s' },
      { what: 'resident memory, whole system', value: `${megabytes} MB`, goal: '≤ 1,000 MB' }
    ]
    rows.push(...(await loadRows(system.url, people, say)))
    say('following events to a live stream …')
    const live = await liveLatency(system.url, people[0]!, people[1]!, 100)
    rows.push({ what: '201 to the event at a follower’s SSE', value: '', p50: ms(live.p50), p99: ms(live.p99) })
    return rows
  } finally {
    for (const end of ends.reverse()) await end()
  }
}

async function loadRows(url: string, people: readonly Person[], say: (line: string) => void): Promise<Row[]> {
  const any = <T>(items: readonly T[]): T => items[Math.floor(Math.random() * items.length)]!
  const auth = (person: Person) => ({ authorization: `Bearer ${person.token}` })
  const json = { 'content-type': 'application/json' }
  const loads: { what: string; goal: string; next: Parameters<typeof load>[0]['next'] }[] = [
    {
      what: 'GET /v1/posts/{id}',
      goal: '≥ 5,756/s',
      next: () => ({ method: 'GET', path: `/v1/posts/${any(any(people).posts)}`, headers: auth(any(people)) })
    },
    {
      what: 'GET /v1/feed',
      goal: '≥ 3,070/s',
      next: () => ({ method: 'GET', path: '/v1/feed', headers: auth(any(people)) })
    },
    {
      what: 'POST /v1/posts',
      goal: '≥ 1,201/s',
      next: () => ({
        method: 'POST',
        path: '/v1/posts',
        headers: { ...auth(any(people)), ...json },
        body: '{"text":"A post under load.","tags":["load"]}'
      })
    },
    {
      what: 'POST /v1/auth/login',
      goal: '≥ 39/s',
      next: () => ({
        method: 'POST',
        path: '/v1/auth/login',
        headers: json,
        body: JSON.stringify({ login: any(people).username, password: PASSWORD })
      })
    }
  ]
  const rounds = new Map<string, Load[]>(loads.map(({ what }) => [what, []]))
  for (const { next } of loads) await load({ url, connections: CONNECTIONS, seconds: 2, next })
  for (let round = 1; round <= ROUNDS; round++) {
    for (const { what, next } of loads) {
      say(`round ${round} of ${ROUNDS}: ${what}`)
      rounds.get(what)?.push(await load({ url, connections: CONNECTIONS, seconds: SECONDS, next }))
    }
  }
  return loads.map(({ what, goal }) => {
    const middle = median(rounds.get(what) ?? [])
    const failed = middle.errors > 0 ? `, ${middle.errors} errors` : ''
    return {
      what,
      goal,
      value: `${Math.round(middle.requestsPerSecond)}/s${failed}`,
      p50: ms(middle.p50),
      p99: ms(middle.p99)
    }
  })
}
