/** A part of the fault run: one test file in its long version, or some rounds of it. */
export type Part = {
  name: string
  /** What it shows, in a line. */
  proves: string
  /** Folder of its package, from the root, and the test file in it. */
  folder: string
  file: string
  /** Numbers of its rounds; none where the file is one thing. */
  rounds?: readonly number[]
  /** Expected on 2 cores that do nothing else, for the whole part. */
  minutes: number
}

/** A part may take so long; most of what it needs on a busy machine is in it. */
export const LIMIT_MINUTES = 30
export const DEFAULT_SEED = 1

/** Rounds of one file as parts that each run for minutes: `kills-1` with rounds 1 and 2, `kills-2` with 3 and 4. */
export function split(part: Omit<Part, 'rounds'>, rounds: number, each: number): Part[] {
  return Array.from({ length: Math.ceil(rounds / each) }, (_, i) => {
    const own = Array.from({ length: Math.min(each, rounds - i * each) }, (_, j) => i * each + j + 1)
    return { ...part, name: `${part.name}-${i + 1}`, rounds: own, minutes: part.minutes * own.length }
  })
}

const range = (count: number) => Array.from({ length: count }, (_, i) => i + 1)

/** All parts, in the order in which they run. Where parts come from `split`, the minutes given are those of a round. */
export const PARTS: readonly Part[] = [
  ...split(
    {
      name: 'system-kills',
      proves:
        'every process dies by kill -9 under writes, each store stands still for 10 s: nothing acknowledged is lost, all waits end, every event has its effect once',
      folder: 'packages/cli',
      file: 'test/faults.test.ts',
      minutes: 2
    },
    10,
    2
  ),
  ...split(
    {
      name: 'operations-kills',
      proves: 'rebuild and replay while instances die: each event once a generation and once a replay',
      folder: 'packages/events',
      file: 'test/operations-kill.test.ts',
      minutes: 0.5
    },
    15,
    5
  ),
  {
    name: 'new-service',
    proves: 'a service that one command wrote starts with the others and passes npm test as it is',
    folder: 'packages/cli',
    file: 'test/new-service.test.ts',
    minutes: 6
  },
  {
    name: 'phones',
    proves:
      '100,000 phones on bad networks for a month: none is signed out; how soon thieves of refresh tokens are found',
    folder: 'apps/auth',
    file: 'test/refresh-simulation.test.ts',
    minutes: 4
  },
  {
    name: 'generated-clients',
    proves: 'a generated Kotlin client is compiled, signs up, posts, edits, reads its feed and runs a batch',
    folder: 'packages/cli',
    file: 'test/generated-clients.test.ts',
    minutes: 4
  },
  {
    name: 'subscribers',
    proves: 'the Go and the Java program of the guides are built, get each post, and go on from where they were',
    folder: 'packages/cli',
    file: 'test/subscriber-languages.test.ts',
    minutes: 2
  },
  {
    name: 'openapi',
    proves:
      'what the OpenAPI documents say is what is: requests made from them, right and wrong ones, get what they promise',
    folder: 'packages/cli',
    file: 'test/openapi-fuzz.test.ts',
    minutes: 8
  },
  {
    name: 'patterns',
    proves: 'no pattern that meets what comes from outside backtracks, those too that take seconds to judge',
    folder: 'packages/service',
    file: 'test/patterns.test.ts',
    minutes: 0.5
  },
  {
    name: 'gateway-attacks',
    proves:
      'attacks of strangers on a system, one after the other: it lives, others are answered within 250 ms at the median, memory returns',
    folder: 'apps/gateway',
    file: 'test/attacks.test.ts',
    minutes: 6
  },
  {
    name: 'gateway-worker-death',
    proves: 'a killed worker takes only its own connections with it, and new ones are answered within 1 s',
    folder: 'apps/gateway',
    file: 'test/worker-death.test.ts',
    minutes: 1
  },
  {
    name: 'gateway-recovery',
    proves: 'what overload took of the concurrency limit is back seconds later, five times; the times are printed',
    folder: 'apps/gateway',
    file: 'test/recovery.test.ts',
    minutes: 2
  },
  {
    name: 'gateway-strangers',
    proves:
      'a whole system: every operation for five callers as it declares, 20,000 mutated tokens refused, 100,000 small requests answered',
    folder: 'packages/cli',
    file: 'test/one-system.test.ts',
    minutes: 3
  },
  {
    name: 'gateway-pipelined',
    proves: '2,500 requests at once on a connection are answered in order, and cost no more each than 250',
    folder: 'apps/gateway',
    file: 'test/pipelined-process.test.ts',
    minutes: 1
  },
  {
    name: 'gateway-replicas',
    proves: 'one of three replicas goes bad in seven ways: clients do not see it after 2 s, the others are not flooded',
    folder: 'apps/gateway',
    file: 'test/faults.test.ts',
    rounds: range(7),
    minutes: 3
  },
  {
    name: 'gateway-rolling',
    proves: '20 rolling restarts of the gateway under load lose no request',
    folder: 'apps/gateway',
    file: 'test/rolling.test.ts',
    minutes: 5
  },
  {
    name: 'gateway-rolling-services',
    proves: '20 rolling restarts of a service behind the gateway lose no request',
    folder: 'apps/gateway',
    file: 'test/rolling-restart.test.ts',
    minutes: 2
  },
  {
    name: 'gateway-overload',
    proves: 'at ten times the capacity of a service the gateway sheds, and what it lets in is answered as before',
    folder: 'apps/gateway',
    file: 'test/overload.test.ts',
    minutes: 2
  },
  {
    name: 'gateway-slow-instance',
    proves: 'one slow instance of three does not take the places of the others',
    folder: 'apps/gateway',
    file: 'test/slow-instance.test.ts',
    minutes: 2
  },
  {
    name: 'gateway-bodies',
    proves:
      '2 GB up and down over HTTP/1.1, in chunks and over HTTP/2 through the gateway: at most 30 MB of memory, printed',
    folder: 'apps/gateway',
    file: 'test/streamed-memory.test.ts',
    minutes: 2
  },
  {
    name: 'gateway-h2spec',
    proves: 'the gateway is what h2spec expects of a server of HTTP/2, over TLS and with prior knowledge',
    folder: 'apps/gateway',
    file: 'test/h2spec.test.ts',
    minutes: 1
  },
  ...split(
    {
      name: 'gateway-fuzz',
      proves:
        '1,000,000 hostile conversations, clients and services at once: the gateway lives, answers others and mixes nothing up',
      folder: 'apps/gateway',
      file: 'test/fuzz.test.ts',
      minutes: 0.7
    },
    40,
    10
  ),
  ...split(
    {
      name: 'events-kills',
      proves:
        '104 kills at every step from write to effect, NATS loses its data: nothing lost, nothing twice, in order',
      folder: 'packages/events',
      file: 'test/kill.test.ts',
      minutes: 4
    },
    5,
    1
  )
]
