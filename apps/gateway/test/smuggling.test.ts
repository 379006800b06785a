import { connect, createServer } from 'node:net'
import t, { type Test } from 'tap'
import { converse } from './helpers/conversation.ts'
import { type Attack, smugglingCorpus } from './helpers/corpus.ts'
import { startGateway } from './helpers/gateway.ts'
import { createJudge } from './helpers/judge.ts'
import {
  announceServer,
  canonicalServer,
  lenientServer,
  listen,
  type Observed,
  SEEN_HEADER,
  type Seen
} from './helpers/observers.ts'

const SEED = 20_260_601
const MUTATIONS = 600
/** Conversations at a time: below what a listening socket holds in its backlog. */
const AT_ONCE = 300
/** Faults of each kind that a failing test shows. */
const SHOWN = 20
/** After so many attacks somebody else asks each service for something. */
const PROBE_EVERY = 20
/** Connections to each service: few, so that each carries requests of many attacks. */
const CONNECTIONS = 4

const PATIENCE = {
  HEADERS_TIMEOUT_MS: '2000',
  REQUEST_TIMEOUT_MS: '2000',
  KEEP_ALIVE_TIMEOUT_MS: '2000',
  UPSTREAM_CONNECTIONS: String(CONNECTIONS),
  LIMIT_EXEMPT: '127.0.0.1',
  // Services see what clients cause, and nothing else.
  HEALTH_INTERVAL_MS: '0',
  LOG_LEVEL: 'error'
}

t.test('the corpus', async (t) => {
  const corpus = smugglingCorpus(SEED, MUTATIONS)
  t.ok(corpus.length >= 2_000 + MUTATIONS, `${corpus.length} attacks`)
  t.equal(new Set(corpus.map(({ name }) => name)).size, corpus.length, 'each has a name of its own')
  const aim = { prefix: '/a', neighbour: '/b', id: '1' }
  const bytes = (attack: Attack) => Buffer.concat(attack.write(aim)).toString('latin1')
  const again = smugglingCorpus(SEED, MUTATIONS)
  t.strictSame(again.map(bytes), corpus.map(bytes), 'the same seed gives the same attacks')
})

t.test('the judge finds what it is there for', async (t) => {
  const observed: Observed = { seen: [], faults: [] }
  const port = await listen(t, lenientServer('lenient', observed, 500))
  const corpus = smugglingCorpus(SEED, 0).filter((_attack, i) => i % 10 === 0)

  t.test('a door that reads leniently', async (t) => {
    const { faults } = await attack(t, port, corpus, observed)
    t.ok(faults.some((fault) => fault.includes('seen GET /v1/posts/marker-')))
  })

  t.test('a door that passes bytes on, and one answer back', async (t) => {
    const relay = createServer((client) => {
      const service = connect(port, '127.0.0.1')
      client.on('error', () => service.destroy()).on('end', () => service.destroy())
      service
        .on('error', () => client.destroy())
        .on('close', () => client.destroy())
        .once('data', (answer) => client.end(answer))
      client.pipe(service)
    })
    const { unanswered } = await attack(t, await listen(t, relay), corpus, observed)
    t.ok(unanswered.some(({ target }) => target.includes('/marker-')))
  })
})

t.test('what services see is what the gateway accepted and answered', async (t) => {
  const g = await startGateway(t, { env: PATIENCE })
  const observed: Observed = { seen: [], faults: [] }
  const services = [
    { service: 'content', prefixes: ['/v1/posts'], server: lenientServer('content', observed) },
    { service: 'users', prefixes: ['/v1/users'], server: canonicalServer('users', observed) }
  ]
  for (const { service, prefixes, server } of services) {
    await announceServer(t, g.nc, { service, prefixes, url: `http://127.0.0.1:${await listen(t, server)}` })
    await g.live(service, 1)
  }
  const corpus = smugglingCorpus(SEED, MUTATIONS)
  const { faults, unanswered, accepted } = await attack(t, g.port, corpus, observed)
  t.strictSame(faults.slice(0, SHOWN), [], 'each conversation is as a strict reader would have it')
  t.strictSame(unanswered.slice(0, SHOWN), [], 'no service saw more than was answered')
  t.strictSame(observed.faults.slice(0, SHOWN), [], 'services got nothing that two parsers could read in two ways')
  t.ok(accepted > corpus.length / 10, `${accepted} requests came through, so the attacks were not all refused unread`)
})

type Outcome = { faults: string[]; unanswered: Seen[]; accepted: number }

/** Sends each attack to both services, a bounded number at once, and clean requests of others among them. */
async function attack(t: Test, port: number, corpus: readonly Attack[], observed: Observed): Promise<Outcome> {
  const { judge, unanswered } = createJudge(observed)
  const faults: string[] = []
  let accepted = 0
  const run = async (name: string, pieces: Buffer[]) => {
    const talk = await converse(port, pieces)
    const outcome = judge(Buffer.concat(pieces), talk)
    accepted += outcome.accepted
    faults.push(...outcome.faults.map((fault) => `${name}: ${fault}`))
    return talk
  }
  const probe = async (prefix: string, id: number) => {
    const { answers } = await run('a clean request', [clean(prefix, id)])
    if (answers[0]?.headers.has(SEEN_HEADER) !== true) faults.push(`${prefix} did not answer a clean request`)
  }
  const aims = [
    { prefix: '/v1/posts', neighbour: '/v1/users' },
    { prefix: '/v1/users', neighbour: '/v1/posts' }
  ]
  const all = aims.flatMap((aim) => corpus.map((attack) => ({ attack, aim })))
  let next = 0
  const worker = async () => {
    while (next < all.length) {
      const id = next++
      const { attack, aim } = all[id]!
      await run(`${attack.name} on ${aim.prefix}`, attack.write({ ...aim, id: String(id) }))
      if (id % PROBE_EVERY === 0) for (const { prefix } of aims) await probe(prefix, id)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  // Once more on each of the connections to the services.
  await Promise.all(Array.from({ length: CONNECTIONS * 4 }, (_, i) => probe(aims[i % 2]!.prefix, all.length + i)))
  t.comment(`${all.length} conversations, ${accepted} requests accepted`)
  return { faults, unanswered: unanswered(), accepted }
}

function clean(prefix: string, id: number): Buffer {
  return Buffer.from(
    `POST ${prefix}/clean-${id} HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\nconnection: close\r\n\r\nclean`
  )
}
