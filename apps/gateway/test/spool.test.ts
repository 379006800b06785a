import t from 'tap'
import { type Behind, createSpool, type SpoolLimits } from '../src/proxy/spool.ts'

// The bounds of what waits for slow clients, on a clock of its own.

const LIMITS: SpoolLimits = {
  ...{ answerBytes: 1_000_000, callerBytes: 2_000_000, totalBytes: 8_000_000 },
  ...{ held: 4, paceBytes: 16_384, paceAfterMs: 10_000 }
}

function startSpool(limits: Partial<SpoolLimits> = {}) {
  let time = 0
  let look = () => {}
  let looking = false
  const cuts: string[] = []
  const spool = createSpool(
    { ...LIMITS, ...limits },
    {
      onCut: (reason) => cuts.push(reason),
      now: () => time,
      every: (_ms, work) => {
        look = work
        looking = true
        return () => {
          looking = false
        }
      }
    }
  )
  const made: { name: string; isCut: boolean; paused: boolean }[] = []
  const slow = (name: string, caller = 'ada', service = 'feed') => {
    let unread = 0
    let behind: Behind | undefined
    const answer = {
      ...{ name, caller, service, given: 0, paused: false, isCut: false },
      unread: () => unread,
      pause: () => {
        answer.paused = true
      },
      resume: () => {
        answer.paused = false
      },
      cut: () => {
        answer.isCut = true
      },
      give(bytes: number) {
        if (answer.paused || answer.isCut) return
        answer.given += bytes
        unread += bytes
        behind ??= spool.add(answer)
        behind.grew()
      },
      take(bytes: number) {
        unread = Math.max(0, unread - bytes)
        if (unread === 0) behind?.drained()
      },
      end: () => behind?.ended(),
      gone: () => behind?.gone()
    }
    made.push(answer)
    return answer
  }
  const pass = (seconds: number, each = () => {}) => {
    for (let i = 0; i < seconds; i++) {
      time += 1_000
      each()
      if (looking) look()
    }
  }
  const cut = () => made.filter((one) => one.isCut).map(({ name }) => name)
  return { spool, slow, pass, cuts, cut, looking: () => looking }
}

t.test('what fits waits, and holds nothing', async (t) => {
  const { spool, slow, cut, looking } = startSpool()
  const [a, b] = [slow('a'), slow('b')]
  a.give(900_000)
  b.give(900_000)
  t.match([a, b], [{ paused: false }, { paused: false }])
  t.match(spool, { bytes: 1_800_000, held: 0 })
  a.take(900_000)
  t.equal(spool.bytes, 900_000)
  a.gone()
  b.gone()
  a.give(10)
  t.match(spool, { bytes: 0, held: 0 })
  t.strictSame(cut(), [])
  t.notOk(looking(), 'nothing is looked at when nobody is behind')
})

t.test('one that is too large holds its connection, at a pace', async (t) => {
  const { spool, slow, pass, cuts } = startSpool()
  const [fast, still] = [slow('fast'), slow('still', 'bob')]
  for (const one of [fast, still]) one.give(1_100_000)
  t.match([fast, still], [{ paused: true }, { paused: true }])
  t.equal(spool.held, 2)
  pass(9, () => fast.take(20_000))
  t.strictSame(cuts, [], 'it is given some time')
  pass(3, () => fast.take(20_000))
  t.match([fast, still], [{ isCut: false }, { isCut: true }])
  t.strictSame(cuts, ['pace'])
  t.match(spool, { held: 1, bytes: 860_000 })
  pass(1, () => fast.take(400_000))
  t.match(fast, { paused: false }, 'when half of it is taken its service goes on')
  fast.give(700_000)
  t.match(fast, { paused: true })
  fast.take(1_200_000)
  t.match(fast, { paused: false })
  t.match(spool, { held: 0, bytes: 0 })
})

t.test('few may hold a connection, and the slowest goes first', async (t) => {
  const { spool, slow, pass, cuts, cut } = startSpool({ callerBytes: 100_000_000, totalBytes: 100_000_000 })
  const [a, b] = [slow('a'), slow('b')]
  for (const one of [a, b]) one.give(1_100_000)
  pass(1, () => b.take(50_000))
  slow('c').give(1_100_000)
  t.strictSame(cut(), ['a'], 'two of one caller')
  for (const name of ['d', 'e']) slow(name, 'bob').give(1_100_000)
  t.equal(spool.held, 4)
  slow('f', 'carl').give(1_100_000)
  t.strictSame(cut(), ['a', 'b'], 'four of a service: of those of one that has as many as any the slowest')
  slow('g', 'carl', 'other').give(1_100_000)
  t.strictSame(cuts, ['caller', 'service'], 'another service has its own')
  t.equal(spool.held, 5)
})

t.test('where memory is short, those that take too little of theirs go', async (t) => {
  const { spool, slow, pass, cuts, cut } = startSpool()
  const still = slow('still')
  const fast = slow('fast')
  for (const one of [still, fast]) one.give(900_000)
  pass(1, () => fast.take(100_000))
  slow('third').give(500_000)
  t.strictSame(cut(), ['still'], 'of the caller')
  const others = ['bob', 'carl', 'dora'].map((caller) => slow(caller, caller))
  for (const one of others) one.give(900_000)
  pass(1, () => fast.take(100_000))
  slow('last', 'emil').give(900_000)
  t.ok(spool.bytes <= 4_000_000)
  t.strictSame(cuts, ['memory', 'memory', 'memory'])
  t.strictSame(cut(), ['still', 'third', 'bob'], 'of all: of the caller that has most, and whoever takes enough stays')
})

t.test('one service has half of the memory', async (t) => {
  const { spool, slow, pass, cuts, cut } = startSpool({ totalBytes: 4_000_000 })
  for (const name of ['a', 'b']) slow(name, name).give(900_000)
  slow('x', 'x', 'other').give(900_000)
  pass(1)
  const last = slow('c', 'c')
  last.give(900_000)
  t.strictSame(cut(), ['a'])
  slow('y', 'y', 'other').give(900_000)
  t.strictSame(cuts, ['memory'], 'the other has its own half')
  t.equal(spool.bytes, 3_600_000)
  t.match(last, { paused: false })
})

t.test('where nobody is too slow, an answer waits at its service', async (t) => {
  const { spool, slow, pass, cuts } = startSpool({ held: 8 })
  const all = ['a', 'b', 'c'].map((name) => slow(name))
  const give = () => {
    for (const one of all) one.give(900_000)
  }
  give()
  t.match(all, [{ paused: false }, { paused: false }, { paused: true }])
  for (let i = 0; i < 100; i++) {
    pass(1, () => {
      for (const one of all) one.take(300_000)
    })
    give()
    t.ok(spool.bytes <= 2_900_000 + 900_000)
  }
  t.strictSame(cuts, [])
})

t.test(
  'what its service has given holds nothing, and how long it is left lying is for slow-readers to bound',
  async (t) => {
    const { spool, slow, pass, cuts } = startSpool()
    const one = slow('a')
    one.give(1_100_000)
    one.end()
    t.match(spool, { held: 0, bytes: 1_100_000 })
    pass(600)
    t.strictSame(cuts, [])
    one.gone()
    t.equal(spool.bytes, 0)
  }
)
