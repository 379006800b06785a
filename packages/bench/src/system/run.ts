import { join } from 'node:path'
import { createClient } from '@skerry/sdk'
import { memoryOf } from '@skerry/stores'
import { type System, startSystem } from '@skerry/testing'
import { findLoadGenerator, type LoadGenerator, type LoadRequest } from '../gateway/load-generator.ts'
import { median } from '../gateway/measure.ts'
import { describeMachine, type Machine } from '../gateway/result.ts'
import { liveLatency } from '../live-latency.ts'
import { makePeople, PASSWORD, type Person } from '../people.ts'
import {
  cpuOf,
  type Ends,
  type Idle,
  idleOf,
  operate,
  processesOf,
  startBareProgram,
  tapOf,
  usedBetween,
  WIDE
} from '../subject.ts'
import { bareOf, oursOf, PEOPLE, POSTS_EACH, ROUTES, type RouteId } from './routes.ts'

/** One load of one route: CPU of all processes a request, in microseconds. */
export type Sample = {
  cpuMicros: number
  perSecond: number
  p50Ms: number
  p99Ms: number
  byName: Record<string, number>
}

/** A route: medians of the rounds of each, and the median of the rounds' own ratios of CPU. */
export type RouteResult = { id: RouteId; ours: Sample; bare: Sample; timesBare: number }

export type SystemResult = {
  at: string
  machine: Machine
  setup: { load: string; rounds: number; seconds: number; connections: number; people: number; posts: number }
  routes: RouteResult[]
  /** CPU of one hash of a password by each library, in microseconds; the bare program's login is the cheapest. */
  hashes: Record<string, number>
  idle: Idle
  memoryMb: number
  /** Seconds from the command to all ready: with data folders that are made, and with those of an earlier start. */
  start: { firstSeconds: number; warmSeconds: number }
  /** From the answer 201 to the event at a follower's stream. */
  live: { p50Ms: number; p99Ms: number }
}

export const ROUNDS = 5
const SECONDS = 4
const LIVE_EVENTS = 100
/** Before a warm-up has told how fast a route is. */
const FIRST = { requests: 300, rate: 150 }

type Subject = { url: string; pids: Record<string, number[]>; requests: Record<RouteId, LoadRequest[]> }

/** A whole system beside a bare program that does the same work of the database, route by route in turns; then idle, memory, start, live. */
export async function benchSystem(rounds: number, say: (line: string) => void): Promise<SystemResult> {
  const machine = describeMachine()
  const ends: Ends = []
  try {
    say('starting a system of its own …')
    // What is shed because the load generator takes the cores is no figure.
    const first = await startSystem(tapOf(ends), { env: WIDE })
    const firstSeconds = secondsOf(first)
    await first.stop()
    const system = await startSystem(tapOf(ends), { env: WIDE, home: first.home })
    const start = { firstSeconds, warmSeconds: secondsOf(system) }
    const pids = await processesOf(system)
    const memoryMb = (await memoryOf(Object.values(pids).flat())) / 1e6
    say(`${PEOPLE} people write posts …`)
    const people = await makePeople(system.url, PEOPLE, POSTS_EACH)
    const ours = subjectOf(system.url, pids, (id) => oursOf(id, people))
    const bare = await startBare(ends)
    const load = await findLoadGenerator()
    const hashes = (await (await fetch(`${bare.url}/hashes`)).json()) as SystemResult['hashes']
    const routes = await measureRoutes(ours, bare, load, rounds, say)
    say('nobody uses it …')
    const { mongo } = await operate(system, ends)
    const idle = await idleOf(pids, mongo)
    say('following events to a live stream …')
    const live = await latencyOf(system.url, people)
    return {
      ...{ at: new Date().toISOString(), machine, routes, hashes, idle, memoryMb, start, live },
      setup: { load: load.name, rounds, seconds: SECONDS, connections: 32, people: PEOPLE, posts: POSTS_EACH }
    }
  } finally {
    for (const end of ends.reverse()) await end()
  }
}

function secondsOf(system: System): number {
  return Number(/^Ready in ([\d.]+) s/m.exec(system.output())?.[1])
}

async function latencyOf(url: string, people: readonly Person[]): Promise<SystemResult['live']> {
  // The load of logins has begun so many sessions that their first ones have ended.
  const signIn = async (person: Person): Promise<Person> => {
    const { accessToken } = await createClient({ baseUrl: url }).auth.login({
      login: person.username,
      password: PASSWORD
    })
    return { ...person, token: accessToken }
  }
  const { p50, p99 } = await liveLatency(url, await signIn(people[0]!), await signIn(people[1]!), LIVE_EVENTS)
  return { p50Ms: p50, p99Ms: p99 }
}

function subjectOf(url: string, pids: Subject['pids'], requestsOf: (id: RouteId) => LoadRequest[]): Subject {
  const requests = Object.fromEntries(ROUTES.map(({ id }) => [id, requestsOf(id)])) as Subject['requests']
  return { url, pids, requests }
}

async function startBare(ends: Ends): Promise<Subject> {
  const args = [String(PEOPLE), String(POSTS_EACH)]
  const { url, pids } = await startBareProgram(join(import.meta.dirname, 'bare.ts'), args, ends)
  return subjectOf(url, pids, bareOf)
}

async function measureRoutes(
  ours: Subject,
  bare: Subject,
  load: LoadGenerator,
  rounds: number,
  say: (line: string) => void
): Promise<RouteResult[]> {
  const rates = new Map<string, number>()
  const turn = async (subject: Subject, id: RouteId): Promise<Sample> => {
    const key = `${id} ${subject.url}`
    const rate = rates.get(key)
    const sample = await measure(subject, id, load, rate)
    rates.set(key, sample.perSecond)
    return sample
  }
  const results: RouteResult[] = []
  for (const { id, what } of ROUTES) {
    // The first load tells the rate, the second is long enough for V8 to optimise.
    for (const subject of [ours, bare, ours, bare]) await turn(subject, id)
    const pairs: { ours: Sample; bare: Sample }[] = []
    for (let round = 1; round <= rounds; round++) {
      const pair = { ours: await turn(ours, id), bare: await turn(bare, id) }
      pairs.push(pair)
      say(
        `${what}, round ${round} of ${rounds}: ${pair.ours.cpuMicros.toFixed(0)} µs of CPU, bare ${pair.bare.cpuMicros.toFixed(0)}`
      )
    }
    results.push({
      ...{ id, ours: middle(pairs.map((pair) => pair.ours)), bare: middle(pairs.map((pair) => pair.bare)) },
      timesBare: median(pairs.map((pair) => pair.ours.cpuMicros / pair.bare.cpuMicros))
    })
  }
  return results
}

async function measure(
  { url, pids, requests }: Subject,
  id: RouteId,
  load: LoadGenerator,
  rate: number | undefined
): Promise<Sample> {
  const before = await cpuOf(pids)
  const amount = rate === undefined ? FIRST.requests : Math.ceil(rate * SECONDS)
  const target = { url, headers: {}, requests: requests[id] }
  const done = await load.run(target, amount, rate ?? FIRST.rate)
  const { byName, total } = usedBetween(before, await cpuOf(pids), done.requests / 1_000)
  if (done.failures > 0) throw new Error(`${id}: ${done.failures} bad answers of ${done.requests} by ${url}`)
  return {
    ...{ cpuMicros: total, byName, perSecond: done.requests / done.seconds },
    ...{ p50Ms: done.p50Ms, p99Ms: done.p99Ms }
  }
}

/** The round in the middle, by CPU. */
function middle(samples: readonly Sample[]): Sample {
  return samples.toSorted((a, b) => a.cpuMicros - b.cpuMicros)[samples.length >> 1]!
}
