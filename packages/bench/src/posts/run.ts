import { join } from 'node:path'
import { startSystem } from '@skerry/testing'
import { MongoClient } from 'mongodb'
import { describeMachine, type Machine } from '../gateway/result.ts'
import { signUp } from '../people.ts'
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
import { between, readCounts, type StoreCounts } from './counters.ts'
import { settled } from './settle.ts'
import { writePosts } from './write.ts'

const CONNECTIONS = 32
const AUTHORS = 8
const FOLLOWERS = 10
/** Posts of a round, enough that what comes by time is a small part of it, and of the count of round trips, which writes one at a time. */
const POSTS = 2_000
const SINGLE = 60
/** From one post to the next when they come one at a time: what follows one is done by then. */
const PAUSE_MS = 100
const TEXT = 'Text of an ordinary length. '.repeat(8)

/** CPU in milliseconds a post, by the name of the process; `perSecond`: posts, until the last effect of the last is in. */
export type Round = { cpuMs: Record<string, number>; totalMs: number; perSecond: number }

export type PostsResult = {
  at: string
  machine: Machine
  setup: { rounds: number; posts: number; connections: number; authors: number; followers: number }
  ours: Round
  bare: Round
  /** CPU of a post beside that of the bare program: the median of the rounds' own ratios. */
  timesBare: number
  /** Of one post at a time, without what an idle system does in that time. */
  counts: { ours: StoreCounts; bare: StoreCounts }
  idle: Idle
}

type Subject = {
  /** Processes by name. */
  pids: Record<string, number[]>
  mongo: MongoClient
  /** Resolves when all that follows is done. */
  write(count: number, connections: number, pauseMs?: number): Promise<void>
}

/** A post with all that follows, beside a bare program that does the least of the same work on a mongod of the same kind. */
export async function benchPosts(rounds: number, say: (line: string) => void): Promise<PostsResult> {
  const machine = describeMachine()
  const ends: Ends = []
  try {
    say('starting a system and a bare program …')
    const ours = await startOurs(ends)
    const bare = await startBare(ends)
    for (const subject of [ours, bare]) await subject.write(100, CONNECTIONS)
    const measured: [Round, Round][] = []
    for (let round = 1; round <= rounds; round++) {
      const pair: [Round, Round] = [await measure(ours), await measure(bare)]
      measured.push(pair)
      say(
        `round ${round} of ${rounds}: ${pair[0].totalMs.toFixed(2)} ms of CPU a post, bare ${pair[1].totalMs.toFixed(2)}; ${pair[0].perSecond.toFixed(0)} and ${pair[1].perSecond.toFixed(0)} posts/s`
      )
    }
    say('counting what one post at a time asks of the stores …')
    const idle = await idleOf(ours.pids, ours.mongo)
    const counts = { ours: await countsOf(ours, idle), bare: await countsOf(bare, undefined) }
    return {
      at: new Date().toISOString(),
      machine,
      setup: { rounds, posts: POSTS, connections: CONNECTIONS, authors: AUTHORS, followers: FOLLOWERS },
      ours: middle(measured.map(([one]) => one)),
      bare: middle(measured.map(([, one]) => one)),
      timesBare: measured.map(([one, other]) => one.totalMs / other.totalMs).sort((a, b) => a - b)[rounds >> 1]!,
      counts,
      idle
    }
  } finally {
    for (const end of ends.reverse()) await end()
  }
}

async function startOurs(ends: Ends): Promise<Subject> {
  const system = await startSystem(tapOf(ends), { env: WIDE, sheds: true })
  const { nc, mongo } = await operate(system, ends)
  const authors = await people(system.url, 'author', AUTHORS)
  const followers = await people(system.url, 'follower', FOLLOWERS)
  for (const { client } of followers) for (const { id } of authors) await client.users.follow(id)
  let n = 0
  return {
    pids: await processesOf(system),
    mongo,
    async write(count, connections, pauseMs = 0) {
      const next = () => {
        const { token } = authors[n++ % AUTHORS]!
        return {
          url: `${system.url}/v1/posts`,
          headers: { authorization: `Bearer ${token}` },
          body: JSON.stringify({ text: `Post ${n}. ${TEXT}` })
        }
      }
      const last = await writePosts(next, count, connections, pauseMs)
      await settled(system.url, nc, followers[0]!.token, last)
    }
  }
}

async function people(baseUrl: string, name: string, count: number) {
  const made: Awaited<ReturnType<typeof signUp>>[] = []
  for (let i = 0; i < count; i++) made.push(await signUp(baseUrl, `${name}${i}`))
  return made
}

async function startBare(ends: Ends): Promise<Subject> {
  const program = await startBareProgram(join(import.meta.dirname, 'bare.ts'), [], ends)
  const mongo = await MongoClient.connect(program.mongoUrl)
  ends.push(() => mongo.close())
  let n = 0
  return {
    pids: program.pids,
    mongo,
    async write(count, connections, pauseMs = 0) {
      const next = () => ({
        url: `${program.url}/posts`,
        headers: {},
        body: JSON.stringify({ author: `author${n++ % AUTHORS}`, text: `Post ${n}. ${TEXT}` })
      })
      await writePosts(next, count, connections, pauseMs)
    }
  }
}

async function measure(subject: Subject): Promise<Round> {
  const before = await cpuOf(subject.pids)
  const begun = performance.now()
  await subject.write(POSTS, CONNECTIONS)
  const seconds = (performance.now() - begun) / 1_000
  const { byName, total } = usedBetween(before, await cpuOf(subject.pids), POSTS)
  return { cpuMs: byName, totalMs: total, perSecond: POSTS / seconds }
}

async function countsOf(subject: Subject, idle: Idle | undefined): Promise<StoreCounts> {
  const before = await readCounts(subject.mongo)
  const begun = performance.now()
  await subject.write(SINGLE, 1, PAUSE_MS)
  const seconds = (performance.now() - begun) / 1_000
  const { commands, syncs, inserted } = between(before, await readCounts(subject.mongo))
  return {
    commands: (commands - seconds * (idle?.commandsPerSecond ?? 0)) / SINGLE,
    syncs: (syncs - seconds * (idle?.syncsPerSecond ?? 0)) / SINGLE,
    inserted: inserted / SINGLE
  }
}

/** The round in the middle, by CPU. */
function middle(rounds: readonly Round[]): Round {
  return [...rounds].sort((a, b) => a.totalMs - b.totalMs)[rounds.length >> 1]!
}
